"""The settings and limits that all SMTP sessions share."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

from waypost.gateway.auth.authenticator import Authenticator
from waypost.gateway.intake import Intake
from waypost.system.keyed_semaphore import KeyedSemaphore

MAILS_AT_ONCE = 20  # in memory, from their first byte to their reply


@dataclass(frozen=True, slots=True)
class Patience:
    """Timeouts of a session, in seconds.

    stranger: from the connection until the client has shown a key. command: for the next command (RFC 5321,
    section 4.5.3.2.7). mail: for a whole mail. room: for memory that other mails occupy.
    """

    stranger: float = 60.0
    command: float = 300.0
    mail: float = 600.0
    room: float = 30.0


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """most: maximum bytes of a mail. certificate: for TLS; None if TLS is not offered. in_the_clear:
    whether keys are accepted without TLS, for trials on this machine. shares: limits the mails in progress
    per key, so that a slow client does not block others."""

    intake: Intake
    authenticator: Authenticator
    most: int
    certificate: ssl.SSLContext | None = None
    in_the_clear: bool = False
    patience: Patience = Patience()
    memory: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAILS_AT_ONCE))
    shares: KeyedSemaphore = field(default_factory=lambda: KeyedSemaphore(MAILS_AT_ONCE // 4))

    def room_of(self, key: str) -> tuple[asyncio.Semaphore, asyncio.Semaphore]:
        """What a mail of this API key waits for, in this order: the key's share, then memory."""
        return self.shares.of(key), self.memory
