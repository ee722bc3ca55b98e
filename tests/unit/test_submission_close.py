"""The end of a connection with who submits mail."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from waypost.gateway.smtp.connection import SubmissionConnection

pytestmark = pytest.mark.anyio


async def test_a_client_that_reset_its_connection_is_let_go_of():
    """The system knows of it before the wire is told."""
    found, done = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def serve(wire: SubmissionConnection) -> None:
        found.set_result(wire)
        await done.wait()

    server = await asyncio.get_running_loop().create_server(
        lambda: SubmissionConnection(serve), "127.0.0.1", 0
    )
    async with server:
        client = socket.create_connection(server.sockets[0].getsockname())
        wire = await found
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await wire.close()
        done.set()
