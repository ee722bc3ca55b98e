"""Fetches JSON documents of a token issuer, from allowed addresses only."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpcore
import httpx
import orjson

from waypost.config.environment import proxy
from waypost.net.allowed_networks import Admits
from waypost.net.guarded_connect import Guarded

OK = 200
LARGEST = 512 * 1024  # bytes of a document
HEADERS = 64 * 1024  # bytes
FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.ProxyError)


class Unusable(ValueError):
    """The issuer's response cannot be used. Says what is wrong."""


async def document(url: str, admits: Admits, tls: ssl.SSLContext) -> dict[str, Any]:
    """Fetch the JSON object at `url`; `admits` decides which addresses its host may have. Redirects are not
    followed. If the environment names a proxy for `url`, the request uses it.

    Raises Unusable, one of FAILURES, httpx.InvalidURL or ValueError.
    """
    place = httpx.URL(url)  # encodes its host as A-labels
    async with (
        _connections(place, admits, tls) as connections,
        connections.stream(
            "GET",
            httpcore.URL(
                scheme=place.raw_scheme, host=place.raw_host, port=place.port, target=place.raw_path
            ),
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "Waypost"},
        ) as answer,
    ):
        if answer.status != OK:
            raise Unusable(f"{url} returned HTTP {answer.status}")
        body = await _read(url, answer)
    try:
        found: object = orjson.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unusable(f"{url} did not return a JSON object")
    return cast(dict[str, Any], found)


async def _read(url: str, answer: httpcore.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_stream():
        body += part
        if len(body) > LARGEST:
            raise Unusable(f"{url} returned more than {LARGEST:,} bytes")
    return bytes(body)


@asynccontextmanager
async def _connections(
    place: httpx.URL, admits: Admits, tls: ssl.SSLContext
) -> AsyncGenerator[httpcore.AsyncConnectionPool]:
    by = _proxy(place)
    made = (
        httpcore.AsyncHTTPProxy(by, ssl_context=tls)
        if by
        else httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=Guarded(admits, LARGEST + HEADERS))
    )
    async with made as connections:
        yield connections


def _proxy(place: httpx.URL) -> str | None:
    """The proxy in the environment, which resolves the host. None for http, which stays on this machine."""
    found = proxy(str(place)) if place.scheme == "https" else None
    return found[1] if found else None
