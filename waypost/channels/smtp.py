"""Mail through an SMTP server, over a pool of open connections."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from waypost.channels import ChannelUnavailable, replies
from waypost.channels.places import Places
from waypost.channels.smtp_dialogue import Dialogue
from waypost.channels.smtp_url import SmtpServer
from waypost.notification import Message
from waypost.outcome import Outcome, Phase
from waypost.priority import Priority

CONNECT_SECONDS = 15.0
QUIT_SECONDS = 2.0


class SmtpChannel:
    """A mail server. At most `server.connections` are open; each takes message after message."""

    kind = "email"

    def __init__(self, name: str, server: SmtpServer, sender: str, attempt_seconds: float = 60.0) -> None:
        self.name = name
        self.places = Places(server.connections)
        self._server = server
        self._sender = sender
        self._attempt_seconds = attempt_seconds
        self._idle: list[SMTP] = []
        self._tls = _tls_context(server) if server.tls != "off" else None

    async def open(self) -> None:
        """Open one connection, so that a server that is down is noticed before anything is sent."""
        if not self.places.idle or self._kept_back():
            return
        await self.places.take(Priority.URGENT)
        try:
            self._idle.append(await self._connect())
        finally:
            self.places.give_back()

    def _kept_back(self) -> bool:
        client = self._kept()
        if client is not None:
            self._idle.append(client)
        return client is not None

    async def send(self, message: Message) -> Outcome:
        """Offer one message, with one limit around the whole attempt.

        A kept connection that the server closed meanwhile is replaced once: nothing was sent on it.
        """
        deadline = asyncio.get_running_loop().time() + self._attempt_seconds
        client = self._kept()
        if client is not None:
            outcome = await self._converse(client, message, deadline)
            if not _was_gone(outcome):
                return outcome
        try:
            async with asyncio.timeout_at(deadline):
                client = await self._connect()
        except TimeoutError:
            return replies.lost(Phase.CONNECT, self._too_late())
        return await self._converse(client, message, deadline)

    async def _converse(self, client: SMTP, message: Message, deadline: float) -> Outcome:
        """One dialogue. The connection goes back to the pool when it can take another message, and is
        closed otherwise; what becomes of it then changes nothing about the outcome."""
        dialogue = Dialogue(client)
        kept = message.notification.expired
        try:
            if kept:
                return replies.too_late()
            outcome = await self._speak(dialogue, message, deadline)
            kept = await dialogue.can_go_on(outcome)
            return outcome
        finally:
            if kept:
                self._idle.append(client)
            else:
                client.close()

    async def _speak(self, dialogue: Dialogue, message: Message, deadline: float) -> Outcome:
        try:
            async with asyncio.timeout_at(deadline):
                return await dialogue.speak(self._sender, message.address, message.content)
        except TimeoutError:
            return replies.lost(dialogue.phase, self._too_late())
        except SMTPServerDisconnected:
            return replies.lost(dialogue.phase, "connection lost")
        except SMTPResponseException as error:
            return replies.smtp(error.code, error.message, dialogue.phase)
        except (SMTPException, OSError) as error:
            return replies.lost(dialogue.phase, f"connection broken: {type(error).__name__}")

    def _too_late(self) -> str:
        return f"no answer within {self._attempt_seconds:g} s"

    def _kept(self) -> SMTP | None:
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                return client
        return None

    async def _connect(self) -> SMTP:
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls == "implicit",
            start_tls=server.tls == "starttls",  # True refuses a server that does not offer it
            tls_context=self._tls,
            timeout=None,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            client.close()
            raise ChannelUnavailable(self.name, _why(error, server)) from None
        except BaseException:
            client.close()
            raise
        return client

    async def close(self) -> None:
        """Say QUIT on what is open, to all at once."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_quit(client) for client in idle))


async def _quit(client: SMTP) -> None:
    with suppress(SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(QUIT_SECONDS):
            await client.quit()
    client.close()


def _was_gone(outcome: Outcome) -> bool:
    """Whether a kept connection turned out to be of no use before the envelope was begun: lost, or
    the server took its leave (421)."""
    before = outcome.phase in (Phase.CONNECT, Phase.MAIL)
    return before and (outcome.words == "connection lost" or outcome.code == 421)


def _tls_context(server: SmtpServer) -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=server.ca)


def _why(error: BaseException, server: SmtpServer) -> str:
    place = f"{server.host}:{server.port}"
    cause = error.__cause__ or error
    match cause:
        case SMTPAuthenticationError():
            return f"{place} refused the user name or password ({cause.code})"
        case SMTPResponseException():
            return f"{place} answered {cause.code} {' '.join(cause.message.split())[:200]}"
        case ssl.SSLCertVerificationError():
            return f"{place} has a certificate that cannot be trusted ({cause.verify_message})"
        case TimeoutError():
            return f"{place} did not answer within {CONNECT_SECONDS:g} s"
        case _ if "STARTTLS" in str(error):
            return f"{place} does not offer STARTTLS, and TLS is required"
        case _:
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            return f"{place} could not be reached ({reason})"
