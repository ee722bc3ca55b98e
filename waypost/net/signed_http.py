"""Posts bodies to one URL, each signed by Standard Webhooks.

It uses HTTP/1.1 through httpcore. Unlike httpx, httpcore lets this code check the address of a connection,
and logs no URL. Redirects are not followed, and no proxy is used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from functools import cache
from typing import Any, cast

import httpcore

from waypost.net.guarded_connect import CONNECT_SECONDS, Guarded
from waypost.net.webhook_signature import checked, signature
from waypost.net.webhook_url import Hook, admits
from waypost.system.clock import now

IDLE_SECONDS = 3.0  # less than servers' keep-alive (often 5 s): they seldom close a connection in use
LONGEST_ANSWER = 16 * 1024  # bytes; at most a kilobyte of the body is read
WORDS_SECONDS = 2.0  # limit for reading the body: the status is already known

FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class SignedPosts:
    """Posts bodies to one webhook, and keeps its connections open. `secrets` are keys of 24 to 64 bytes; each
    body is signed with all of them."""

    def __init__(
        self,
        hook: Hook,
        secrets: Sequence[bytes],
        *,
        allow_private: bool,
        connections: Callable[[], int],
        ca: str | None = None,
    ) -> None:
        """allow_private: whether `hook` may lead to this machine or a private network. connections: returns
        the most open connections, called at the first body. ca: a file of certificate authorities to
        trust instead of the system's.

        Raises ValueError, without repeating an address or a secret; OSError if `ca` cannot be read.
        """
        self.guard = Guarded(admits(hook, allow_private), LONGEST_ANSWER)
        self._hook = hook
        self._url = httpcore.URL(scheme=hook.scheme, host=hook.host, port=hook.port, target=hook.target)
        self._secrets = [checked(secret) for secret in secrets]
        self._most = connections
        self._tls = _trusted(ca) if hook.scheme == "https" else None
        self._pool: httpcore.AsyncConnectionPool | None = None

    @asynccontextmanager
    async def post(
        self, id: str, body: bytes, follow: Callable[[str], None] | None = None
    ) -> AsyncGenerator[httpcore.Response]:
        """Post one body. The response's body is not read yet. id: the header `webhook-id`. follow: called
        with httpcore's name of each step; an exception it raises ends the attempt.

        Raises one of FAILURES.
        """
        async with self._connections().stream(
            "POST",
            self._url,
            headers=self._headers(id, body),
            content=body,
            extensions={"trace": _followed_by(follow), "timeout": {"connect": CONNECT_SECONDS}},
        ) as response:
            yield response

    def _headers(self, id: str, body: bytes) -> list[tuple[str, str]]:
        timestamp = int(now().timestamp())
        return [
            ("host", self._hook.authority),
            ("user-agent", "Waypost"),
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signature(self._secrets, id, timestamp, body)),
        ]

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=self._most(),
                keepalive_expiry=IDLE_SECONDS,
                network_backend=self.guard,
            )
        return self._pool

    async def close(self) -> None:
        """Close the open connections."""
        pool, self._pool = self._pool, None
        with suppress(OSError, *FAILURES):
            if pool is not None:
                await pool.aclose()


def _trusted(ca: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca) if ca else _trusted_by_the_system()


@cache
def _trusted_by_the_system() -> ssl.SSLContext:
    """Reading the system's certificate authorities takes 25 ms: it is done once, and only for https."""
    return ssl.create_default_context()


def _followed_by(follow: Callable[[str], None] | None) -> Any:
    """The trace callback for httpcore."""
    streams: list[httpcore.AsyncNetworkStream] = []

    async def told(event: str, info: Mapping[str, Any]) -> None:
        match event:
            case "connection.connect_tcp.complete":
                streams.append(info["return_value"])
            case "connection.start_tls.failed":
                await streams[-1].aclose()  # httpcore leaves it open if the handshake is cut off
            case _ if follow is not None:
                follow(event)
            case _:
                pass

    return told


async def first_bytes(response: httpcore.Response) -> bytes:
    """The beginning of the response's body. Errors are ignored: the status is already known."""
    read = b""
    try:
        async with asyncio.timeout(WORDS_SECONDS), aclosing(cast(Any, response.aiter_stream())) as pieces:
            async for piece in pieces:
                read += piece
                if len(read) >= WORDS_READ:
                    break
    except (TimeoutError, *FAILURES):
        pass
    return read[:WORDS_READ]


WORDS_READ = 1024  # bytes of a body
