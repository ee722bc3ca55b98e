"""One message over one open connection, with its phase known at every moment.

aiosmtplib raises the same error for a connection lost before the final dot and after it, so the
dialogue is spoken here, command by command, over aiosmtplib's connection, EHLO, TLS and AUTH.
"""

from __future__ import annotations

import asyncio

from aiosmtplib import SMTP, SMTPException

from waypost.channels import replies
from waypost.outcome import Outcome, Phase

RESET_SECONDS = 2.0


class Dialogue:
    """MAIL, RCPT, DATA and the message. `phase` is how far it came, also when it was cut off."""

    def __init__(self, client: SMTP) -> None:
        self._client = client
        self.phase = Phase.CONNECT

    async def speak(self, sender: str, recipient: str, message: bytes) -> Outcome:
        """Offer `message` (lines ended by CRLF). Raises aiosmtplib's errors when it is cut off."""
        utf8 = not (sender.isascii() and recipient.isascii())
        if utf8 and not self._client.supports_extension("smtputf8"):
            return replies.smtp(553, "5.6.7 this server does not take non-ASCII addresses", Phase.RCPT)
        option = b" SMTPUTF8" if utf8 else b""
        for phase, command in (
            (Phase.MAIL, b"MAIL FROM:<" + sender.encode() + b">" + option),
            (Phase.RCPT, b"RCPT TO:<" + recipient.encode() + b">"),
            (Phase.DATA, b"DATA"),
        ):
            self.phase = phase
            reply = await self._client.execute_command(command)
            if reply.code // 100 != (3 if phase is Phase.DATA else 2):
                return replies.smtp(reply.code, reply.message, phase)
        return await self._send_body(message)

    async def _send_body(self, message: bytes) -> Outcome:
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPException("connection lost")
        self.phase = Phase.DOT
        protocol.write(stuffed(message))
        reply = await protocol.read_response()
        return replies.smtp(reply.code, reply.message, Phase.DOT)

    async def can_go_on(self, outcome: Outcome) -> bool:
        """Whether the connection can take another message; a refused envelope is forgotten first.
        What becomes of that changes nothing about the outcome, so it never raises."""
        if outcome.code is None or outcome.code < 200:
            return False  # no answer, or none that makes sense: what comes next cannot be matched
        try:
            async with asyncio.timeout(RESET_SECONDS):
                if outcome.phase in (Phase.RCPT, Phase.DATA):
                    await self._client.rset()
        except (SMTPException, OSError, TimeoutError):
            return False
        return self._client.is_connected


def stuffed(message: bytes) -> bytes:
    """`message` with leading dots doubled and the final dot added (RFC 5321, section 4.5.2)."""
    body = message.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body + (b".\r\n" if body.endswith(b"\r\n") else b"\r\n.\r\n")
