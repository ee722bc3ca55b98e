"""A proxy between a client and an HTTP server that misbehaves in given ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

PASS, LOSE, DROP, REFUSE = "pass", "lose", "drop", "refuse"  # or a status to answer with


class Front:
    """Passes requests on to `url`. Each request gets the next of `behaviours`; later ones are passed on.
    lose: pass on, and discard the response; drop: close the connection; a number: respond with that
    status, as a proxy does. requests: the requests received, whole."""

    def __init__(self, url: str, behaviours: Sequence[str | int], headers: str = "") -> None:
        self.requests: list[bytes] = []
        self._to = urlsplit(url)
        self._behaviours = list(behaviours)
        self._headers = headers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        self.requests.append(request)
        behaviour = self._behaviours.pop(0) if self._behaviours else PASS
        if isinstance(behaviour, int):
            writer.write(f"HTTP/1.1 {behaviour} No\r\n{self._headers}Content-Length: 4\r\n\r\nno!\n".encode())
        elif behaviour != DROP:
            answer = await self._passed_on(request)
            writer.write(answer if behaviour == PASS else b"")
        writer.close()

    async def _passed_on(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        answer = await reader.read()
        writer.close()
        return answer


class Refusing(Front):
    """Responds 422 to every request that `refuses` names, and passes the others on. refused: the heads of
    those."""

    def __init__(self, url: str, refuses: Callable[[bytes], bool]) -> None:
        super().__init__(url, ())
        self.refused: list[bytes] = []
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        if self._refuses(request):
            self.refused.append(request.partition(b"\r\n")[0])
            writer.write(b"HTTP/1.1 422 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nno!\n")
        else:
            writer.write(await self._passed_on(request))
        writer.close()


class Holding(Front):
    """Passes on the requests that `holds` names only once `let_go` is set. held: the heads of those."""

    def __init__(self, url: str, holds: Callable[[bytes], bool]) -> None:
        super().__init__(url, ())
        self.held: list[bytes] = []
        self.let_go = asyncio.Event()
        self._holds = holds

    async def _passed_on(self, request: bytes) -> bytes:
        if self._holds(request):
            self.held.append(request.partition(b"\r\n")[0])
            await self.let_go.wait()
        return await super()._passed_on(request)


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(sizes[0].split(b":")[1]) if sizes else 0)


@asynccontextmanager
async def front(url: str, *behaviours: str | int, headers: str = "") -> AsyncIterator[tuple[str, Front]]:
    """Yields its URL, and the Front itself."""
    made = Front(url, behaviours, headers)
    async with _served(made) as address:
        yield address, made


@asynccontextmanager
async def refusing(url: str, refuses: Callable[[bytes], bool]) -> AsyncIterator[tuple[str, Refusing]]:
    """Yields its URL, and the Refusing itself."""
    made = Refusing(url, refuses)
    async with _served(made) as address:
        yield address, made


@asynccontextmanager
async def holding(url: str, holds: Callable[[bytes], bool]) -> AsyncIterator[tuple[str, Holding]]:
    """Yields its URL, and the Holding itself."""
    made = Holding(url, holds)
    async with _served(made) as address:
        yield address, made


@asynccontextmanager
async def _served(made: Front) -> AsyncIterator[str]:
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
