"""What every session shares."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

from waypost.gateway.auth.authenticator import Authenticator
from waypost.gateway.intake import Intake
from waypost.system.keyed_semaphore import KeyedSemaphore

MAILS_AT_ONCE = 20  # in memory, between their first byte and their answer


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a client is waited for.

    stranger: from its coming until it has shown a key. command: for the next command (RFC 5321, section
    4.5.3.2.7). mail: for a whole mail. room: while others' mails take up the memory there is.
    """

    stranger: float = 60.0
    command: float = 300.0
    mail: float = 600.0
    room: float = 30.0


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """most: bytes a mail may have. certificate: what STARTTLS is spoken with, if it is. in_the_clear: whether
    keys are taken without TLS, which is for trying it on this machine. shares: the mails that one key may
    have under way, so that others come in beside one that dawdles."""

    intake: Intake
    authenticator: Authenticator
    most: int
    certificate: ssl.SSLContext | None = None
    in_the_clear: bool = False
    patience: Patience = Patience()
    memory: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAILS_AT_ONCE))
    shares: KeyedSemaphore = field(default_factory=lambda: KeyedSemaphore(MAILS_AT_ONCE // 4))
