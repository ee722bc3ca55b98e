"""Runs the HTTP server of the gateway until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import uvicorn

from waypost.gateway import certificate as tls
from waypost.gateway.listen import STOPS_WITHIN, ListenAddress, PortTaken
from waypost.gateway.server.connection import Connection
from waypost.system.os_errors import words_of


class Unfinished(RuntimeError):
    """The gateway failed while it stopped. Says where the error is logged."""


async def listen(
    app: Any,
    where: ListenAddress,
    stop: asyncio.Event,
    ready: Callable[[ListenAddress], None],
    connection: type[Connection] = Connection,
) -> None:
    """Serve `app` until `stop`; requests in progress are finished. Calls `ready` with the actual address.
    connection: the limits of a client's connection.

    Raises PortTaken, and Unfinished when the application failed to stop.
    """
    config = uvicorn.Config(
        app,
        http=connection,
        ws="none",  # a server may ignore a request to upgrade to WebSocket (RFC 9110, section 7.8)
        ssl_certfile=where.certificate,
        ssl_keyfile=where.key,
        ssl_ciphers=tls.CIPHERS,
        log_config=None,  # the process configures logging; uvicorn's config would close its handlers
        access_log=False,  # paths contain ids of recipients; /metrics has counts
        log_level="error",  # otherwise any invalid HTTP from a stranger logs a warning
        server_header=False,
        proxy_headers=False,  # the gateway never uses a client address from a header
        timeout_keep_alive=connection.kept_open,
        timeout_graceful_shutdown=STOPS_WITHIN,
        lifespan="on",
    )
    with _socket(where) as socket:
        found = replace(where, port=socket.getsockname()[1])
        server = _Server(config, lambda: ready(found))
        serving = asyncio.create_task(server.serve([socket]))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        server.should_exit = True
        await serving
        if server.lifespan.should_exit:  # uvicorn logs the failure and returns normally
            raise Unfinished(
                "the gateway failed while it stopped; the error is logged above. "
                "Everything that it answered with 202 or 250 is in the ledger"
            )


def _socket(where: ListenAddress) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        return socket.create_server((where.host, where.port), family=family, backlog=1024)
    except OSError as error:
        raise PortTaken(
            f"the gateway cannot listen on {where.place} ({words_of(error)}); "
            f"choose another address with {where.option} (0 picks a free port)"
        ) from None


class _Server(uvicorn.Server):
    """Calls `ready` once it listens; leaves signals to the process."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def capture_signals(self) -> Any:
        return nullcontext()
