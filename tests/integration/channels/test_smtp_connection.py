"""How a connection to a mail server ends."""

import asyncio

import pytest
from aiosmtplib import SMTP

from waypost.channels.smtp.connection import ConnectionLost, SmtpConnection

pytestmark = pytest.mark.anyio

MORE_THAN_BUFFERS_HOLD = b"x" * 20_000_000


class Unhurried:
    """A server that answers EHLO, and reads nothing more until it is told to."""

    def __init__(self):
        self.reads = asyncio.Event()

    async def serve(self, reader, writer):
        writer.write(b"220 here\r\n")
        await reader.readline()
        writer.write(b"250 here\r\n")
        await self.reads.wait()
        while await reader.read(1_000_000):
            pass
        writer.close()


async def test_a_transport_closed_with_bytes_unsent_is_lost_once():
    """anyio fails a test during which a callback raises."""
    server = Unhurried()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1000) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False)
        await client.connect()
        await client.ehlo()
        transport = client.transport
        connection = SmtpConnection(client)
        connection.ask(MORE_THAN_BUFFERS_HOLD)
        assert connection.unsent
        transport.close()
        server.reads.set()
        with pytest.raises(ConnectionLost):
            async with asyncio.timeout(60):
                await connection.reply()
        await asyncio.sleep(0.05)
    assert not connection.open
