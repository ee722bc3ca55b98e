"""A request's body, read within limits."""

from __future__ import annotations

import re
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from waypost.gateway.problems import Problem

ONE = 256 * 1024  # bytes: facts of one notification are a few kilobytes
MANY = 4 * 1024 * 1024
DROPPED = 1024 * 1024  # bytes too many that are still read: who writes all of it before reading is answered
DEEPEST = 32

_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{[}]", b"(())")
_OTHERS = bytes(set(range(256)) - set(b"{[}]"))


async def read(request: Request, most: int) -> bytes:
    """The body, of `most` bytes at most. Raises Problem."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported-media-type", "send JSON, with Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported-media-type", "send the JSON as it is, without Content-Encoding")
    named = request.headers.get("content-length", "")
    if named.isdecimal() and int(named) > most:
        raise too_large(most, ends=int(named) > most + DROPPED)
    body = await _whole(request, most)
    if body.count(b"{") + body.count(b"[") > DEEPEST and nests_deeper(body, DEEPEST):
        raise Problem("malformed", f"the JSON is nested more than {DEEPEST} deep")
    return body


async def _whole(request: Request, most: int) -> bytes:
    """As it came; most come in one piece, which the framework's own stream takes twice as long over."""
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


def nests_deeper(body: bytes, most: int) -> bool:
    """Whether brackets nest more than `most` deep, those in texts aside: each go takes the innermost pairs
    out, without a step of Python a byte."""
    left = _TEXTS.sub(b"", body).translate(_BRACKETS, _OTHERS)
    for _ in range(most):
        before, left = len(left), left.replace(b"()", b"")
        if len(left) == before:
            break
    return bool(left)


def parsed(body: bytes) -> Any:
    """`body` as JSON. Raises Problem."""
    try:
        return orjson.loads(body)
    except ValueError:
        raise Problem("malformed", "the body is not JSON") from None
