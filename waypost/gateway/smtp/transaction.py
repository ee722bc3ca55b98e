"""Mail transactions: MAIL, RCPT and DATA (RFC 5321, section 3.3), with their replies."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.problems import Problem
from waypost.gateway.smtp import auth, replies
from waypost.gateway.smtp import envelope as policy
from waypost.gateway.smtp.auth import Login, NotAuthenticated
from waypost.gateway.smtp.connection import SubmissionConnection
from waypost.gateway.smtp.context import SubmissionContext
from waypost.gateway.smtp.replies import OK, ClosingReply
from waypost.gateway.smtp.submission import Envelope, take
from waypost.mail.only_to import allows
from waypost.policy.acceptance import sends_only
from waypost.telemetry.metrics import MAILS

MOST_MAILS = 1000  # in one session; a client with more reconnects, so that others get a turn

_PARAMETERS = {"SIZE", "BODY", "AUTH"}


class Transaction:
    """The transactions of a session, one after the other, with the key that the client has shown."""

    def __init__(self, wire: SubmissionConnection, context: SubmissionContext, login: Login) -> None:
        self._wire = wire
        self._context = context
        self._intake = context.intake
        self._authenticator = context.authenticator
        self._patience = context.patience
        self._login = login
        self._caller: Caller | None = None
        self._envelope: Envelope | None = None
        self._mails = 0

    def forget(self) -> None:
        self._caller = self._envelope = None

    async def begin(self, argument: str) -> str:
        """The reply to MAIL. The key is checked again: it may have been revoked since. Raises
        ClosingReply."""
        if self._envelope is not None:
            return "503 5.5.1 the previous mail is not complete; send DATA or RSET first"
        found = policy.path_and_parameters(argument, "FROM:")
        if found is None:
            return "501 5.5.4 syntax: MAIL FROM:<no-reply@shop.example>"
        address, parameters = found
        if refusal := self._refused_parameters(parameters):
            return refusal
        if not (address and self._intake.sends_from([address])):
            return policy.REFUSED_SENDER
        try:
            caller = await self._who()
            caller.require_any("send")
            self._authenticator.charge(caller)
        except Problem as problem:
            return replies.of(problem)
        self._mails += 1
        if self._mails > MOST_MAILS:
            raise ClosingReply("421 4.7.0 too many messages in this session; reconnect")
        self._caller, self._envelope = caller, Envelope(int(parameters.get("SIZE") or 0))
        return OK

    async def _who(self) -> Caller:
        """The caller of the key. Raises ClosingReply if the key no longer works or cannot be looked up."""
        try:
            return await auth.caller_of(self._authenticator, self._login)
        except NotAuthenticated as no:
            raise ClosingReply(no.reply if no.refused else replies.AWAY) from None

    def _refused_parameters(self, parameters: dict[str, str]) -> str | None:
        if unknown := parameters.keys() - _PARAMETERS:
            return f"555 5.5.4 unsupported parameter {min(unknown)}"
        if parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
            return "501 5.5.4 BODY must be 7BIT or 8BITMIME"
        size = parameters.get("SIZE", "0")
        if not (size.isdecimal() and len(size) <= 20):
            return "501 5.5.4 SIZE must be a number of bytes"
        return self._too_large() if int(size) > self._context.most else None

    def _too_large(self) -> str:
        return f"552 5.3.4 mail too large: {self._context.most:,} bytes at most"

    def add(self, argument: str) -> str:
        """The reply to RCPT. A recipient that is named twice counts once."""
        if self._envelope is None:
            return "503 5.5.1 send MAIL first"
        found = policy.path_and_parameters(argument, "TO:")
        if found is None:
            return "501 5.5.4 syntax: RCPT TO:<ada@a.example>"
        if found[1]:
            return f"555 5.5.4 unsupported parameter {min(found[1])}"
        who = policy.recipient(found[0])
        if isinstance(who, str):
            return who
        only_to = self._caller.only_to if self._caller else None
        if only_to is not None and not allows(only_to, who.email or ""):
            return f"550 5.7.1 {sends_only(only_to)}"
        named = self._envelope.recipients
        if who.key in named:
            return OK
        if len(named) >= policy.MOST_RECIPIENTS or policy.too_much(self._envelope.size, len(named) + 1):
            return "452 4.5.3 too many recipients; send the others in another mail"
        named[who.key] = who
        return OK

    async def take(self, argument: str) -> list[str]:
        """The reply to DATA and the mail after it. Once all notifications are durable, it has a line for each
        recipient with the notification's id; otherwise it is a single line with the error."""
        envelope, caller = self._envelope, self._caller
        if envelope is None or caller is None or not envelope.recipients:
            return ["503 5.5.1 send MAIL and RCPT first"]
        if argument:
            return ["501 5.5.4 DATA takes no parameters"]
        self.forget()
        try:
            async with self._room(caller):
                reply = await self._taken(caller, envelope)
        except Problem as problem:
            reply = [replies.of(problem)]
        MAILS.labels(reply[0][:3]).inc()
        return reply

    async def _taken(self, caller: Caller, envelope: Envelope) -> list[str]:
        self._wire.say("354 send the mail, then a line with only a dot")
        async with asyncio.timeout(self._patience.mail):
            mail = await self._wire.message(self._context.most)
        if mail is None:
            return [self._too_large()]
        await self._who()  # receiving a mail may take minutes; the key may have been revoked meanwhile
        receipts = await take(self._intake, caller, envelope, mail)
        return [f"250 2.0.0 accepted as {receipt.id}" for receipt in receipts]

    @asynccontextmanager
    async def _room(self, caller: Caller):
        """Room in memory for a mail; each key has a share of it. Raises Problem if none becomes free in
        time."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._patience.room):
                    for room in self._context.room_of(caller.key):
                        await held.enter_async_context(room)
            except TimeoutError:
                raise Problem("unavailable", "too many mails at once; try again later") from None
            yield
