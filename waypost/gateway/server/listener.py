"""The gateway as a server: where it may listen, and listening until told to stop."""

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

KEPT_OPEN = 75  # seconds without a request: closed sooner, it may be just when a client takes it up again


class Unfinished(RuntimeError):
    """It did not stop as it should. Says where the error is."""


async def listen(
    app: Any, where: ListenAddress, stop: asyncio.Event, ready: Callable[[ListenAddress], None]
) -> None:
    """Serve `app` until `stop`; what is under way is finished. `ready` is told where, the port found.

    Raises PortTaken, and Unfinished when the application failed to stop.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",  # a wish to speak WebSocket is one that nobody has to grant (RFC 9110, section 7.8)
        ssl_certfile=where.certificate,
        ssl_keyfile=where.key,
        ssl_ciphers=tls.CIPHERS,
        log_config=None,  # logging is the process's own: uvicorn's would close the handlers there are
        access_log=False,  # paths hold ids of recipients; /metrics counts
        log_level="error",  # what a stranger sends that is no HTTP would be a warning
        server_header=False,
        proxy_headers=False,  # nothing here goes by who a header says it comes from
        timeout_keep_alive=KEPT_OPEN,
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
        if server.lifespan.should_exit:  # uvicorn logs what failed, and returns as if nothing had
            raise Unfinished(
                "the gateway failed while it stopped; the error is logged above. What it answered"
                " 202 or 250 to is in the ledger"
            )


def _socket(where: ListenAddress) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        return socket.create_server((where.host, where.port), family=family, backlog=1024)
    except OSError as error:
        raise PortTaken(
            f"the gateway cannot listen on {where.place} ({error.strerror or error}): "
            "choose another place with --host and --port (0 finds a free one)"
        ) from None


class _Server(uvicorn.Server):
    """Says when it listens; signals are our process's own."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def capture_signals(self) -> Any:
        return nullcontext()
