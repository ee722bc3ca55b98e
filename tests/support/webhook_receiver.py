"""A client's own web server, which takes webhooks or misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from standardwebhooks.webhooks import Webhook

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Says = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, *headers: str, body: bytes = b"no") -> bytes:
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Post:
    """One request, with header names in lower case."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """The body as verified by an independent library. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Endpoint:
    """Listens on loopback. says: its response, or what it does with a connection."""

    def __init__(self) -> None:
        self.says: Says = OK
        self.posts: list[Post] = []
        self.connections = 0
        self.port = 0
        self._serving: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?for=shop"

    async def arrived(self, count: int = 1, seconds: float = 10.0) -> list[Post]:
        """The posts, once there are `count`."""
        async with asyncio.timeout(seconds):
            while len(self.posts) < count:
                await asyncio.sleep(0.02)
        return self.posts

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._serving.append(asyncio.current_task())
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                fields = [line.split(": ", 1) for line in head.split("\r\n")[1:-2]]
                headers = {name.lower(): value for name, value in fields}
                self.posts.append(Post(headers, await reader.readexactly(int(headers["content-length"]))))
                if callable(self.says):
                    await self.says(writer)
                else:
                    writer.write(self.says)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Endpoint]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for one in self._serving:
                one.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)


async def hangs(_: asyncio.StreamWriter) -> None:
    """Never responds."""
    await asyncio.Event().wait()


async def closes(writer: asyncio.StreamWriter) -> None:
    writer.close()
