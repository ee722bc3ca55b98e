"""Serves the preview's page on this machine, until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
STOPS_WITHIN = 3  # seconds, for a preview that is being rendered


class PortTaken(RuntimeError):
    """Another program listens on the preview's port. Says what to do."""


async def serve(app: ASGIApp, port: int, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve `app` until `stop`. ready: is called with the address once the port is open. Raises PortTaken."""
    with _listening(port) as listener:
        config = uvicorn.Config(
            app, log_level="warning", ws="none", server_header=False, timeout_graceful_shutdown=STOPS_WITHIN
        )
        server = uvicorn.Server(config)
        traces = logging.getLogger("uvicorn.error")
        serving = asyncio.create_task(server.serve([listener]))
        ready(f"http://{HOST}:{listener.getsockname()[1]}/")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        traces.setLevel(logging.CRITICAL)  # of the requests that it cancels
        server.should_exit = True
        stopping.cancel()
        await serving


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise PortTaken(
            f"the preview cannot listen on {HOST}:{port} ({why}): stop the other program, or choose another "
            "port with --port (0 picks a free one)"
        ) from None
