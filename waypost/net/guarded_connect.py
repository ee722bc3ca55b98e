"""Connections to the addresses of a host, if a policy admits them."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore

from waypost.net.allowed_networks import Address, Admits, is_forbidden
from waypost.net.webhook_url import FORBIDDEN, PRIVATE

CONNECT_SECONDS = 15.0
_MOST_TRIED = 4  # addresses of one host
A_PIECE = 1024  # bytes


class NotAdmitted(httpcore.ConnectError):
    """None of the host's addresses is admitted. Says which kind they are, without the addresses."""


class _Limited(httpcore.AsyncNetworkStream):
    """A connection that limits a response to `longest` bytes, read in small pieces. httpcore processes a
    whole piece before other tasks can run, and does not limit interim responses and headers."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self._read = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data = await self._stream.read(min(max_bytes, A_PIECE), timeout)
        self._read += len(data)
        if self._read > self._longest:
            raise httpcore.RemoteProtocolError(f"a response of more than {self._longest:,} bytes")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._read = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Limited(secured, self._longest)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to exactly the addresses it has checked: a name that resolves to another address a moment
    later has no effect. longest: the most bytes of a response, with its headers."""

    def __init__(self, admits: Admits, longest: int) -> None:
        self._admits = admits
        self._longest = longest
        self._network = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class names it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises NotAdmitted, ConnectError or ConnectTimeout."""
        found = await _resolve(host, port)
        allowed = [address for address in found if self._admits(address)]
        if not allowed:
            raise NotAdmitted(FORBIDDEN if all(map(is_forbidden, found)) else PRIVATE)
        tried = allowed[:_MOST_TRIED]
        for address in tried[:-1]:
            try:
                return await self._connected(str(address), port, CONNECT_SECONDS / len(tried))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connected(str(tried[-1]), port, CONNECT_SECONDS / len(tried))

    async def _connected(self, host: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        return _Limited(await self._network.connect_tcp(host, port, seconds), self._longest)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore.ConnectTimeout from None
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError from error
    return list(dict.fromkeys(ipaddress.ip_address(place[0]) for *_, place in found))


def why(error: Exception) -> str:
    """Why there is no connection, in words without an address."""
    match error, _root(error):
        case NotAdmitted(), _:
            return str(error)
        case _, ssl.SSLCertVerificationError():
            return "its certificate is not trusted, or belongs to another host"
        case _, socket.gaierror():
            return "its host name cannot be resolved"
        case httpcore.ConnectTimeout(), _:
            return "no connection in time"
        case _, ssl.SSLError(reason=str(reason)):
            return f"it could not be reached ({reason})"
        case _, OSError(errno=int(number)):
            return f"it could not be reached ({os.strerror(number)})"
        case _, root:
            return f"it could not be reached ({type(root).__name__})"


def _root(error: BaseException) -> BaseException:
    """The error of the operating system or TLS; httpcore and anyio wrap it, and the pool cuts `__cause__`."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
