"""One client's session: its commands and their replies (RFC 5321; RFC 6409 for submission)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from waypost.gateway.smtp import auth
from waypost.gateway.smtp.auth import NotAuthenticated
from waypost.gateway.smtp.connection import BareEnding, Gone, LineTooLong, SubmissionConnection
from waypost.gateway.smtp.context import SubmissionContext
from waypost.gateway.smtp.replies import OK, ClosingReply
from waypost.gateway.smtp.transaction import Transaction
from waypost.system.time_slices import Slices

logger = logging.getLogger("waypost.gateway.smtp")

NAME = "waypost"
MOST_IN_A_COMMAND = 2000  # bytes: RFC 5321 has 512, and an option may be longer
MOST_FAULTS = 20  # unknown or invalid commands (replies 50x) before the session ends
MOST_WITHOUT_KEY = 100  # commands of a client that has shown no key
SLICE_SECONDS = 0.005  # of work on pipelined commands before other sessions get a turn
MOST_REFUSED = 3  # keys that do not work before the session ends

Command = Callable[[str], Awaitable[list[str]]]


class Session:
    """A session with one client, until either side ends it. secure: whether the connection uses TLS."""

    def __init__(self, wire: SubmissionConnection, context: SubmissionContext, secure: bool) -> None:
        self._wire = wire
        self._context = context
        self._secure = secure
        self._greeted = self._gave_way = False
        self._mails: Transaction | None = None  # set once the client has shown a key
        self._faults = self._refused = self._without_key = 0
        self._began = asyncio.get_running_loop().time()
        self._commands: dict[str, Command] = {
            "EHLO": self._ehlo, "HELO": self._helo, "STARTTLS": self._starttls, "AUTH": self._auth,
            "MAIL": self._mail, "RCPT": self._rcpt, "DATA": self._data, "RSET": self._rset,
            "NOOP": self._noop, "QUIT": self._quit, "VRFY": self._vrfy,
        }  # fmt: skip

    async def run(self) -> None:
        """Run from the greeting to the end of the connection. Nothing that the client does raises."""
        try:
            self._wire.say(f"220 {NAME} ESMTP")
            slices = Slices(SLICE_SECONDS)
            while True:
                self._wire.say(*await self._answer(await self._line()))
                await slices.pause()
        except ClosingReply as closing:
            self._wire.say(closing.reply)
        except BareEnding:
            self._wire.say("550 5.5.2 bare CR or LF: lines must end in CRLF (RFC 5321, section 2.3.8)")
        except LineTooLong:
            self._wire.say(f"500 5.5.2 command too long: {MOST_IN_A_COMMAND} bytes at most")
        except TimeoutError:
            self._wire.say("421 4.4.2 timeout; reconnect")
        except Gone:
            pass
        except Exception as error:
            # Only the error's class is logged: its text may contain addresses.
            logger.error("SMTP submission: internal error: %s", type(error).__name__)
            self._wire.say("421 4.3.0 internal error; see the gateway's log")
        finally:
            await self._wire.close()

    def stop(self) -> None:
        """Answer the commands received so far, then end the session."""
        self._wire.fail(ClosingReply("421 4.3.2 the gateway is stopping; try again later"))

    @property
    def is_strange(self) -> bool:
        """Whether the client has shown no key and was not yet asked to give way."""
        return self._mails is None and not self._gave_way

    def give_way(self) -> None:
        """End the session, to make room for a client that may have a key."""
        self._gave_way = True
        self._wire.fail(ClosingReply("421 4.3.2 too many sessions; try again later, and authenticate soon"))

    async def _line(self) -> str:
        """The client's next line. A client without a key has less time, counted from the connection."""
        patience = self._context.patience
        seconds = patience.command
        if self._mails is None:
            seconds = max(0.0, self._began + patience.stranger - asyncio.get_running_loop().time())
        async with asyncio.timeout(seconds):
            return (await self._wire.line(MOST_IN_A_COMMAND)).decode("latin-1")

    async def _answer(self, line: str) -> list[str]:
        if self._mails is None:
            self._without_key += 1
            if self._without_key > MOST_WITHOUT_KEY:
                raise ClosingReply("421 4.7.0 too many commands without authentication")
        verb, _, argument = line.partition(" ")
        reply = await self._obey(verb.upper(), argument.strip(" "))
        if reply and reply[0].startswith("50"):
            self._faults += 1
            if self._faults > MOST_FAULTS:
                raise ClosingReply("421 4.7.0 too many unrecognized commands")
        return reply

    async def _obey(self, verb: str, argument: str) -> list[str]:
        command = self._commands.get(verb)
        if command is None:
            return ["500 5.5.1 unrecognized command"]
        if not (argument.isascii() and argument.isprintable()):
            return ["501 5.5.2 commands must be ASCII; SMTPUTF8 is not supported"]
        refusal = self._too_early(verb)
        return [refusal] if refusal else await command(argument)

    def _too_early(self, verb: str) -> str | None:
        if verb in ("EHLO", "HELO", "STARTTLS", "NOOP", "QUIT"):
            return None
        if not self._may_show_a_key():
            if verb == "AUTH":
                return "538 5.7.11 authentication requires TLS; send STARTTLS first"
            return "530 5.7.0 send STARTTLS first"
        if not self._greeted:
            return "503 5.5.1 send EHLO first"
        if verb in ("MAIL", "RCPT", "DATA", "VRFY") and self._mails is None:
            return "530 5.7.0 authentication required; the password is an API key"
        return None

    def _may_show_a_key(self) -> bool:
        return self._secure or self._context.in_the_clear

    async def _ehlo(self, argument: str) -> list[str]:
        offers = [NAME, "PIPELINING", f"SIZE {self._context.most}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self._context.certificate is not None and not self._secure:
            offers.append("STARTTLS")
        if self._may_show_a_key():
            offers.append(f"AUTH {' '.join(auth.MECHANISMS)}")
        return self._greet(argument) or [f"250 {one}" for one in offers]

    async def _helo(self, argument: str) -> list[str]:
        return self._greet(argument) or [f"250 {NAME}"]

    def _greet(self, name: str) -> list[str]:
        if not name:
            return ["501 5.5.4 syntax: EHLO app.example"]
        self._greeted = True
        self._forget()
        return []

    async def _starttls(self, argument: str) -> list[str]:
        if argument:
            return ["501 5.5.4 STARTTLS takes no parameters"]
        if self._secure or self._context.certificate is None:
            return ["503 5.5.1 TLS is already active" if self._secure else "502 5.5.1 TLS is not available"]
        self._wire.say("220 2.0.0 go ahead")
        await self._wire.start_tls(self._context.certificate)
        # RFC 3207, section 4.2: an attacker may have sent what came before TLS.
        self._secure, self._greeted, self._mails = True, False, None
        return []

    async def _auth(self, argument: str) -> list[str]:
        mechanism, _, initial = argument.partition(" ")
        if self._mails is not None:
            return ["503 5.5.1 already authenticated"]
        if mechanism.upper() not in auth.MECHANISMS:
            return [f"504 5.5.4 unrecognized mechanism; use {' or '.join(auth.MECHANISMS)}"]
        try:
            login = await auth.login(mechanism.upper(), initial.strip(" ") or None, self._ask)
            await auth.caller_of(self._context.authenticator, login)
        except NotAuthenticated as no:
            self._refused += no.refused
            if self._refused >= MOST_REFUSED:
                raise ClosingReply("421 4.7.0 too many invalid keys") from None
            return [no.reply]
        self._mails = Transaction(self._wire, self._context, login)
        return ["235 2.7.0 authenticated"]

    async def _ask(self, challenge: str) -> str:
        self._wire.say(f"334 {challenge}")
        return await self._line()

    async def _mail(self, argument: str) -> list[str]:
        return [await self._mails.begin(argument)] if self._mails else []

    async def _rcpt(self, argument: str) -> list[str]:
        return [self._mails.add(argument)] if self._mails else []

    async def _data(self, argument: str) -> list[str]:
        return await self._mails.take(argument) if self._mails else []

    async def _rset(self, _argument: str) -> list[str]:
        self._forget()
        return [OK]

    def _forget(self) -> None:
        if self._mails is not None:
            self._mails.forget()

    async def _noop(self, _argument: str) -> list[str]:
        return [OK]

    async def _vrfy(self, _argument: str) -> list[str]:
        return ["252 2.1.5 cannot verify an address; send the mail"]

    async def _quit(self, _argument: str) -> list[str]:
        raise ClosingReply("221 2.0.0 bye")
