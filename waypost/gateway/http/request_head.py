"""Checks the head of every request, whatever its route."""

from __future__ import annotations

import re
from functools import lru_cache
from time import perf_counter

from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.gateway.problems import Problem
from waypost.telemetry import metrics

# RFC 3986, section 3.2: a name or an address, which may be empty, and a port.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.v]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]*)?")


class Head:
    """Refuses a request with an invalid Host or Expect, and handles HEAD as GET: the server omits the body
    (RFC 9110, section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif (problem := _fault(scope)) is not None:
            began = perf_counter()
            await problem.response()(scope, receive, send)
            metrics.count(scope["method"], "none", problem.kind.status, perf_counter() - began)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, send)
        else:
            await self._app(scope, receive, send)


def _fault(scope: Scope) -> Problem | None:
    hosts = 0
    for name, value in scope["headers"]:
        if name == b"host":
            hosts += 1
            if not _is_host(value):
                return Problem("malformed", "Host: not a host name or an address, with or without a port")
        elif name == b"expect" and value.lower() != b"100-continue":
            return Problem("not-expected", "Expect: only 100-continue is supported")
    if hosts > 1 or (not hosts and scope["http_version"] != "1.0"):  # RFC 9112, section 3.2
        return Problem("malformed", f"Host: {'more than one' if hosts else 'missing'}")
    return None


@lru_cache(1024)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None
