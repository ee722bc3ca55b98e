"""A request's body, read within limits."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from waypost.gateway.json_limits import over_limit
from waypost.gateway.problems import Problem

ONE = 256 * 1024  # bytes: facts of one notification are a few kilobytes
MANY = 4 * 1024 * 1024
DROPPED = 1024 * 1024  # excess bytes that are still read, for clients that write everything before they read


def announced(request: Request, most: int) -> int:
    """The size of the body in bytes, from Content-Length; `most` without it. Raises Problem for a body that
    is too long, encoded or not JSON."""
    heads: dict[bytes, bytes] = dict(reversed(request.scope["headers"]))  # the first of each name counts
    kind = heads.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Problem("unsupported-media-type", "send the body as JSON, with Content-Type: application/json")
    if heads.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem("unsupported-media-type", "send the body uncompressed, without Content-Encoding")
    named = heads.get(b"content-length", b"")
    size = int(named) if named.isdigit() else most
    if size > most:
        raise too_large(most, ends=size > most + DROPPED)
    return size


async def read(request: Request, most: int) -> bytes:
    """The body, at most `most` bytes. Raises Problem or ClientDisconnect.

    Most bodies come in one piece, for which the framework's own stream takes twice as long."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > most + DROPPED:
            raise too_large(most, ends=True)
    if size > most:
        raise too_large(most)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(most: int, ends: bool = False) -> Problem:
    """ends: also close the connection, because far more data is coming than is read."""
    headers = {"connection": "close"} if ends else None
    return Problem("too-large", f"the body is larger than {most:,} bytes", headers=headers)


def checked(body: bytes) -> bytes:
    """`body`, if its structure is within the limits. Raises Problem."""
    if reason := over_limit(body):
        raise Problem("malformed", reason)
    return body


def parsed(body: bytes) -> Any:
    """`body` as JSON. Raises Problem."""
    try:
        return orjson.loads(checked(body))
    except ValueError:
        raise Problem("malformed", "the body is not JSON") from None
