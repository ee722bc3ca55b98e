"""The SMTP server: listens for submissions and limits the number of sessions."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from waypost.gateway import certificate as starttls
from waypost.gateway.listen import STOPS_WITHIN, PortTaken
from waypost.gateway.listen import ListenAddress as HttpListens
from waypost.gateway.smtp.connection import HANDSHAKE_SECONDS, SubmissionConnection
from waypost.gateway.smtp.context import SubmissionContext
from waypost.gateway.smtp.session import Session
from waypost.rendering.attachments import MEGABYTE
from waypost.system.os_errors import words_of

if TYPE_CHECKING:
    from waypost.config.settings import Settings
    from waypost.gateway.context import GatewayContext

MOST_SESSIONS = 200


@dataclass(frozen=True, slots=True)
class SubmissionAddress:
    """Where SMTP is served. implicit_tls: TLS from the first byte (RFC 8314, section 3.3), no STARTTLS."""

    host: str
    port: int
    implicit_tls: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"smtp{'s' if self.implicit_tls else ''}://{host}:{self.port}"


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The TLS context of a server; TLS 1.2 at least (RFC 8997)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(starttls.CIPHERS)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def submissions(
    gateway: GatewayContext,
    settings: Settings,
    http: HttpListens,
    wanted: Sequence[SubmissionAddress],
    stop: asyncio.Event,
) -> AsyncGenerator[list[SubmissionAddress]]:
    """Listen on every address of `wanted`, with the gateway's intake and the certificate of `http`. Without
    a certificate, keys are accepted in the clear. Yields the actual addresses. Raises PortTaken."""
    tls = tls_context(http.certificate, http.key) if http.certificate and http.key else None
    most = int(settings.submission_megabytes * MEGABYTE)
    context = SubmissionContext(gateway.intake, gateway.authenticator, most, tls, in_the_clear=tls is None)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(listening(context, one, stop)) for one in wanted]


@asynccontextmanager
async def listening(
    context: SubmissionContext, where: SubmissionAddress, stop: asyncio.Event
) -> AsyncGenerator[SubmissionAddress]:
    """Accept submissions for the length of the block, or until `stop`; commands received by then are still
    answered. Yields the address with the actual port. Raises PortTaken."""
    sessions = _Sessions(context, where.implicit_tls)
    server = await _server(sessions, context, where)
    found = replace(where, port=server.sockets[0].getsockname()[1])
    stopping = asyncio.create_task(_until(stop, server, sessions))
    try:
        yield found
    finally:
        stop.set()
        await stopping


async def _server(
    sessions: _Sessions, context: SubmissionContext, where: SubmissionAddress
) -> asyncio.Server:
    tls = context.certificate if where.implicit_tls else None
    try:
        return await asyncio.get_running_loop().create_server(
            lambda: SubmissionConnection(sessions.serve),
            where.host,
            where.port,
            ssl=tls,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if tls else None,
        )
    except OSError as error:
        raise PortTaken(
            f"the gateway cannot listen for SMTP on {where.url.partition('//')[2]} "
            f"({words_of(error)}); choose another port (0 picks a free port)"
        ) from None


async def _until(stop: asyncio.Event, server: asyncio.Server, sessions: _Sessions) -> None:
    await stop.wait()
    server.close()
    await sessions.stop()


class _Sessions:
    """The open sessions. At the limit, the oldest session without a key is ended to make room. If every
    session has a key, the new client is told to try again."""

    def __init__(self, context: SubmissionContext, secure: bool) -> None:
        self._context = context
        self._secure = secure
        self._running: dict[Session, SubmissionConnection] = {}
        self._ended = asyncio.Event()

    async def serve(self, wire: SubmissionConnection) -> None:
        if not self._has_room():
            wire.say("421 4.3.2 too many sessions; try again later")
            await wire.close()
            return
        session = Session(wire, self._context, self._secure)
        self._running[session] = wire
        try:
            await session.run()
        finally:
            del self._running[session]
            self._ended.set()

    def _has_room(self) -> bool:
        if len(self._running) < MOST_SESSIONS:
            return True
        # Sessions that gave way may not have ended yet.
        stranger = next((one for one in self._running if one.is_strange), None)
        if stranger is None or len(self._running) >= 2 * MOST_SESSIONS:
            return False
        stranger.give_way()
        return True

    async def stop(self) -> None:
        """Ask all sessions to end; abort those that do not end in time."""
        for session in self._running:
            session.stop()
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                while self._running:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            for wire in self._running.values():
                wire.abort()
