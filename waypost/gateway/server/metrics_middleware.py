"""Counts responses, answers unexpected errors and adds the HSTS header."""

from __future__ import annotations

import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waypost.gateway.problems import Problem
from waypost.gateway.unavailable import ledger_away
from waypost.ledger.database.outages import outages
from waypost.telemetry.metrics import count

logger = logging.getLogger("waypost.gateway")

_CLIENT_LEFT = 499  # never sent; nginx counts these requests the same way
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class MetricsMiddleware:
    """Counts by the route's path, not by the request's: the number of routes is limited."""

    def __init__(self, app: ASGIApp, https: bool = False) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, begun = time.perf_counter(), 500, False

        async def sent(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                if self._https:
                    message["headers"] = [*message["headers"], _HSTS]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception as error:
            problem = _problem(error)
            if begun:
                raise
            await problem.response()(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            count(scope["method"], route, status, time.perf_counter() - began)


def _problem(error: Exception) -> Problem:
    """The problem for an unexpected error. Only its class is logged: its text may contain addresses."""
    if away := ledger_away(error):
        outages.tell(error)
        return away
    logger.error("internal error: %s", type(getattr(error, "orig", None) or error).__name__)
    return Problem("internal", "internal error; see the gateway's log")
