"""Sends one message over an open connection; its phase is known at every moment."""

from __future__ import annotations

import asyncio
import re

from waypost.channels.smtp.connection import ConnectionLost, Reply, SmtpConnection
from waypost.model.outcome import Outcome, Phase
from waypost.policy import classify
from waypost.policy.redaction import quoted_message

SETTLE_SECONDS = 2.0
_DISORDER = (500, 502, 503)  # command unrecognized, not implemented, out of sequence
# Controls, blanks and angle brackets would end a path (RFC 5321, section 4.1.2) or a command; half of a
# surrogate pair cannot be encoded. Addresses are checked long before: this is the last check.
_NOT_IN_A_PATH = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]|^$")
_ENVELOPE = ((Phase.MAIL, 2), (Phase.RCPT, 2), (Phase.DATA, 3))  # with the class of a positive reply


class NotPipelining(Exception):
    """The server lost track of a pipelined envelope: its refusal is not about the message."""


class Dialogue:
    """MAIL, RCPT, DATA and the message.

    at_once: whether the envelope is pipelined (RFC 2920), or sent command by command. late: the reply to the
    message, if it had arrived when the dialogue was cut off. dotted_at: when the final dot was written, by
    the loop's clock.
    """

    def __init__(self, wire: SmtpConnection, *, at_once: bool = False) -> None:
        self._wire = wire
        self._at_once = at_once
        self.late: Outcome | None = None
        self.dotted_at = 0.0
        self._phase = Phase.CONNECT
        self._chosen: list[str] = []  # by the message's client, and a reply may repeat it
        self._message = b""

    @property
    def phase(self) -> Phase:
        """How far the dialogue got, also when cut off. DOT only once the final dot has left this process."""
        return Phase.DATA if self._phase is Phase.DOT and self._wire.unsent else self._phase

    @property
    def in_envelope(self) -> bool:
        """Whether it waits for a reply to MAIL, RCPT or DATA."""
        return self._phase not in (Phase.CONNECT, Phase.DOT)

    async def speak(self, sender: str, recipient: str, message: bytes, subject: str = "") -> Outcome:
        """Offer `message` (lines ended by CRLF). subject: the message's, so that a reply which repeats it is
        not read by its words. Raises ConnectionLost when it is cut off, NotPipelining before the message was
        sent."""
        for address, wrong in ((recipient, "5.1.3"), (sender, "5.1.7")):
            if _NOT_IN_A_PATH.search(address):
                words = f"{wrong} this address cannot be used in an SMTP command"
                return classify.smtp(553, words, Phase.RCPT)
        utf8 = not (sender.isascii() and recipient.isascii())
        if utf8 and not self._wire.utf8:
            return classify.smtp(553, "5.6.7 this server does not accept non-ASCII addresses", Phase.RCPT)
        option = b" SMTPUTF8" if utf8 else b""
        if self._wire.eight_bit and not message.isascii():  # RFC 6152: a mail that its author finished
            option += b" BODY=8BITMIME"
        commands = (
            b"MAIL FROM:<%b>%b\r\n" % (sender.encode(), option),
            b"RCPT TO:<%b>\r\n" % recipient.encode(),
            b"DATA\r\n",
        )
        self._chosen = [*quoted_message.names_in(recipient), subject]
        refusal = await self._envelope(commands)
        return refusal or await self._body(message)

    async def inquire(self, sender: str) -> Outcome | None:
        """Begin a mail from `sender` to itself and reset it. Returns the refusal, if it is about us. Raises
        ConnectionLost."""
        commands = (b"MAIL FROM:<%b>\r\n" % sender.encode(), b"RCPT TO:<%b>\r\n" % sender.encode())
        for command, phase in zip(commands, (Phase.MAIL, Phase.RCPT), strict=True):
            self._wire.ask(command)
            reply = await self._wire.reply()
            if reply.code >= 400:
                found = classify.smtp(reply.code, reply.text, phase)
                return found if found.about_us else None
        self._wire.ask(b"RSET\r\n")
        await self._wire.reply()
        return None

    async def _envelope(self, commands: tuple[bytes, bytes, bytes]) -> Outcome | None:
        """Check every reply in turn (RFC 2920, section 3.1): the first refusal is the outcome."""
        if self._at_once:
            self._wire.ask(b"".join(commands), len(commands))
        for command, (phase, yes) in zip(commands, _ENVELOPE, strict=True):
            self._phase = phase
            if not self._at_once:
                self._wire.ask(command)
            reply = await self._wire.reply()
            if reply.code // 100 != yes:
                if self._at_once and self._in_disorder(reply):
                    raise NotPipelining
                return classify.smtp(reply.code, reply.text, phase, self._chosen)
        return None

    def _in_disorder(self, reply: Reply) -> bool:
        return reply.code in _DISORDER or classify.pipelining_doubted(reply.text, self._chosen)

    async def _body(self, message: bytes) -> Outcome:
        if self._at_once:
            self._wire.proven = True
        early = self._wire.surplus
        if early is not None and early.code >= 400:  # the server refused before the message
            return classify.smtp(early.code, early.text, self._phase, self._chosen)
        self._message = message
        self._wire.ask(stuffed(message))
        self._phase, self.dotted_at = Phase.DOT, asyncio.get_running_loop().time()
        try:
            return self._meaning(await self._wire.reply())
        except asyncio.CancelledError:
            # If this process was held up, a reply may have arrived in time and not been read yet.
            await asyncio.sleep(0)
            if reply := self._wire.heard:
                self.late = self._meaning(reply)
            raise

    async def hear_out(self) -> Outcome:
        """The reply to the message, after `speak` was cut off waiting for it. Raises ConnectionLost."""
        return self._meaning(await self._wire.reply())

    def _meaning(self, reply: Reply) -> Outcome:
        refused = reply.code // 100 != 2
        names = quoted_message.file_names(self._message) if refused else []
        return classify.smtp(reply.code, reply.text, self.phase, [*self._chosen, *names])

    async def settle(self, outcome: Outcome) -> bool:
        """Whether the connection can take another message. Outstanding replies are read first, and a refused
        envelope is reset. This does not change the outcome, so it never raises."""
        if outcome.code is None or not 200 <= outcome.code < 600 or outcome.code == 421:
            return False  # no reply, a meaningless one, or 421: the server closes
        if outcome.phase is Phase.DOT or self._wire.unsent:  # or answered in the middle of the message
            return self._wire.in_step and not self._wire.unsent
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                return await self._forget(outcome.phase) and self._wire.in_step
        except (ConnectionLost, TimeoutError):
            return False

    async def _forget(self, refused: Phase) -> bool:
        last: Reply | None = None
        while self._wire.outstanding:
            last = await self._wire.reply()
        if last is not None and last.code // 100 == 3 and not await self._take_back(refused):
            return False
        self._wire.ask(b"RSET\r\n")
        return (await self._wire.reply()).code // 100 == 2

    async def _take_back(self, refused: Phase) -> bool:
        """The server waits for a message that must not be sent: a lone dot ends it. If the recipient was
        accepted, an empty mail would be delivered; that connection is closed instead."""
        if refused is not Phase.RCPT:
            return False
        self._wire.ask(b".\r\n")
        return (await self._wire.reply()).code >= 400


def stuffed(message: bytes) -> bytes:
    """`message` with leading dots doubled and the final dot added (RFC 5321, section 4.5.2)."""
    parts = [b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n"]
    end = len(message)
    # From its end: CPython looks for a few bytes four times as fast backwards as `replace` does forwards.
    while (at := message.rfind(b"\r\n.", 0, end)) >= 0:
        parts += message[at + 2 : end], b"."
        end = at + 2
    parts += message[:end], b"." if message.startswith(b".") else b""
    return b"".join(reversed(parts))
