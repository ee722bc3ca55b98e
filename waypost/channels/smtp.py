"""Mail through an SMTP server, over a pool of open connections."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from waypost.channels import ChannelUnavailable, replies
from waypost.channels.smtp_dialogue import Dialogue
from waypost.channels.smtp_url import SmtpServer
from waypost.notification import Message
from waypost.outcome import Outcome, Phase

CONNECT_SECONDS = 15.0


class SmtpChannel:
    """A mail server. At most `server.connections` are open; each takes message after message."""

    kind = "email"

    def __init__(self, name: str, server: SmtpServer, sender: str, attempt_seconds: float = 60.0) -> None:
        self.name = name
        self.slots = server.connections
        self._server = server
        self._sender = sender
        self._attempt_seconds = attempt_seconds
        self._idle: list[SMTP] = []
        self._places = asyncio.Semaphore(server.connections)
        self._tls = _tls_context(server) if server.tls != "off" else None

    async def open(self) -> None:
        """Open one connection, so that a server that is down is noticed before anything is sent."""
        async with self._places:
            client, _ = await self._take()
            self._idle.append(client)

    async def send(self, message: Message) -> Outcome:
        """Offer one message, with one limit around the whole attempt.

        A kept connection that the server closed meanwhile is replaced once: nothing was sent on it.
        """
        async with self._places:
            dialogue = None
            try:
                async with asyncio.timeout(self._attempt_seconds):
                    client, fresh = await self._take()
                    dialogue = Dialogue(client)
                    outcome = await self._offer(client, dialogue, message)
                    if outcome is None or (_gone(outcome) and not fresh):
                        if fresh:
                            return replies.lost(dialogue.phase, "connection lost")
                        client = await self._connect()
                        dialogue = Dialogue(client)
                        outcome = await self._offer(client, dialogue, message)
            except TimeoutError:
                # aiosmtplib's own timeouts are off: this is ours, and the connection is unusable.
                phase = dialogue.phase if dialogue else Phase.CONNECT
                return replies.lost(phase, f"no answer within {self._attempt_seconds:g} s")
            return outcome or replies.lost(dialogue.phase, "connection lost")

    async def _offer(self, client: SMTP, dialogue: Dialogue, message: Message) -> Outcome | None:
        """The outcome, or None when the connection was lost with nothing in doubt. The connection
        goes back to the pool when it can take another message, and is closed otherwise."""
        kept = False
        try:
            outcome = await dialogue.speak(self._sender, message.address, message.content)
            if outcome.phase in (Phase.RCPT, Phase.DATA):
                await dialogue.reset()
            kept = client.is_connected
            return outcome
        except SMTPServerDisconnected:
            return replies.lost(dialogue.phase, "connection lost") if _past_mail(dialogue) else None
        except SMTPResponseException as error:
            return replies.smtp(error.code, error.message, dialogue.phase)
        except (SMTPException, OSError) as error:
            return replies.lost(dialogue.phase, f"connection broken: {type(error).__name__}")
        finally:
            if kept:
                self._idle.append(client)
            else:
                client.close()

    async def _take(self) -> tuple[SMTP, bool]:
        """An idle connection, or a fresh one (True)."""
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                return client, False
        return await self._connect(), True

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
        return client

    async def close(self) -> None:
        """Say QUIT on what is open."""
        idle, self._idle = self._idle, []
        for client in idle:
            with suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await client.quit()
            client.close()


def _past_mail(dialogue: Dialogue) -> bool:
    return dialogue.phase not in (Phase.CONNECT, Phase.MAIL)


def _gone(outcome: Outcome) -> bool:
    """Whether the server took leave before the envelope (421): a fresh connection may do better."""
    return outcome.code == 421 and outcome.phase is Phase.MAIL


def _tls_context(server: SmtpServer) -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=server.ca)


def _why(error: BaseException, server: SmtpServer) -> str:
    place = f"{server.host}:{server.port}"
    match error:
        case SMTPAuthenticationError():
            return f"{place} refused the user name or password ({error.code})"
        case SMTPConnectResponseError() | SMTPResponseException():
            return f"{place} answered {error.code} {' '.join(error.message.split())[:200]}"
        case ssl.SSLCertVerificationError():
            return f"{place} has a certificate that cannot be trusted ({error.verify_message})"
        case TimeoutError():
            return f"{place} did not answer within {CONNECT_SECONDS:g} s"
        case _ if "STARTTLS" in str(error):
            return f"{place} does not offer STARTTLS, and TLS is required"
        case _:
            cause = error.__cause__ or error
            return (
                f"{place} could not be reached ({getattr(cause, 'strerror', None) or type(cause).__name__})"
            )
