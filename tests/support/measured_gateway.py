"""A gateway in a loop of its own, whose work is measured, and a client that writes raw requests."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from support.oidc_issuer import AUDIENCE, LittleIssuer, issuing
from support.stopwatch import Act, Loop, Spent
from waypost.config.settings import with_async_driver
from waypost.gateway.auth.access_tokens import Tokens
from waypost.gateway.auth.issuer_keys import Issuer
from waypost.ledger import open_ledger

Cases = Iterator[tuple[str, Act, int]]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


class Client:
    """Sends raw requests over one connection, and reconnects when the connection has ended."""

    def __init__(self, url: str, key: str) -> None:
        self._place = tuple(url.removeprefix("http://").split(":"))
        self._key = key
        self._open: socket.socket | None = None

    def request(
        self, method: str, path: str, body: bytes = b"", *headers: str, key: str | None = None
    ) -> bytes:
        """The bytes of a request. key: sent instead of the valid key."""
        head = [
            f"{method.upper()} {path} HTTP/1.1",
            "Host: a",
            f"Authorization: Bearer {key or self._key}",
            *headers,
        ]
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*head, "", ""]).encode() + body

    def ask(self, request: bytes, answers: int = 1) -> bytes:
        """The bytes received, up to the end of `answers` responses or of the connection."""
        if self._open is None:
            self._open = socket.create_connection(self._place, timeout=30)
        heard = b""
        try:
            self._open.sendall(request)
            while not _is_whole(heard, answers):
                if not (more := self._open.recv(1 << 20)):
                    raise ConnectionError
                heard += more
        except ConnectionError:
            self.close()
        if b"connection: close" in heard:
            self.close()
        return heard

    def flood(self, requests: bytes) -> bytes:
        """The bytes received for requests that are sent at once, up to the end of their connection."""
        heard = b""
        with socket.create_connection(self._place, timeout=30) as client, suppress(ConnectionError):
            client.sendall(requests)
            client.shutdown(socket.SHUT_WR)
            while more := client.recv(1 << 20):
                heard += more
        return heard

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None


def _is_whole(heard: bytes, answers: int) -> bool:
    for _ in range(answers):
        head, _, rest = heard.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not rest and not (length and length[1] == b"0") and b" 204 " not in head[:13]:
            return False
        if len(rest) < (size := int(length[1]) if length else 0):
            return False
        heard = rest[size:]
    return True


@dataclass(frozen=True, slots=True)
class Measured:
    """A gateway in a loop of its own, and a client of it."""

    loop: Loop
    client: Client
    issuer: LittleIssuer
    document: dict[str, Any]

    def spent(self, request: bytes, answers: int = 1) -> Spent:
        return self.loop.spent(lambda: self.client.ask(request, answers))

    def post(self, path: str, body: str) -> Spent:
        return self.spent(self.client.request("POST", path, body.encode()))


@asynccontextmanager
async def over(file: Any, site_over: Any, issuer: LittleIssuer):
    """A gateway over a ledger in `file`; yields its URL and the text of a key."""
    ledger = open_ledger(with_async_driver(f"sqlite:///{file}"))
    async with site_over(ledger, tokens=Tokens(Issuer(issuer.url), AUDIENCE)) as site:
        yield site.url, await site.key()
    await ledger.close()


@contextmanager
def measured(site_over: Any, database: str) -> Iterator[Measured]:
    """A gateway over the SQLite file of the URL `database`."""
    with Loop() as loop:
        issuer = loop.enter(issuing())
        url, key = loop.enter(over(database.removeprefix("sqlite:///"), site_over, issuer))
        client = Client(url, key)
        document = json.loads(client.ask(client.request("GET", "/v1/openapi.json")).partition(b"\r\n\r\n")[2])
        for token in (key, issuer.token()):
            client.ask(client.request("GET", "/v1/types", key=token))
        yield Measured(loop, client, issuer, document)
        client.close()
