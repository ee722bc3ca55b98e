"""A request's body, read within limits."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from waypost.gateway.json_limits import over_limit
from waypost.gateway.problems import Problem

ONE = 256 * 1024  # bytes: facts of one notification are a few kilobytes
MANY = 4 * 1024 * 1024
DROPPED = 1024 * 1024  # bytes too many that are still read: who writes all of it before reading is answered


def announced(request: Request, most: int) -> int:
    """How many bytes the body has at most, as its head says: `most` where it does not. Raises Problem for a
    body that is no JSON or too long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported-media-type", "send JSON, with Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported-media-type", "send the JSON as it is, without Content-Encoding")
    named = request.headers.get("content-length", "")
    size = int(named) if named.isdecimal() else most
    if size > most:
        raise too_large(most, ends=size > most + DROPPED)
    return size


async def read(request: Request, most: int) -> bytes:
    """The body, of `most` bytes at most. Raises Problem.

    Most come in one piece, which the framework's own stream takes twice as long over."""
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
    """ends: the connection too, as far more is coming than anybody reads."""
    headers = {"connection": "close"} if ends else None
    return Problem("too-large", f"the body may have {most:,} bytes at most", headers=headers)


def checked(body: bytes) -> bytes:
    """`body`, if a parser can build what it holds within limits. Raises Problem."""
    if reason := over_limit(body):
        raise Problem("malformed", reason)
    return body


def parsed(body: bytes) -> Any:
    """`body` as JSON. Raises Problem."""
    try:
        return orjson.loads(checked(body))
    except ValueError:
        raise Problem("malformed", "the body is not JSON") from None
