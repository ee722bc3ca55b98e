"""Counts of what the gateway answered, and the header that keeps browsers to TLS."""

from __future__ import annotations

import logging
import time
from collections import Counter as Tally
from collections.abc import Sequence
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waypost.gateway.away import ledger_away
from waypost.gateway.problems import Problem
from waypost.ledger.candidate import Candidate
from waypost.notification import Receipt

logger = logging.getLogger("waypost.gateway")
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "waypost_gateway_requests", "Requests answered", ["method", "route", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "waypost_gateway_request_seconds",
    "How long they took",
    ["route"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TAKEN = Counter(
    "waypost_gateway_notifications", "Requests by what became of them", ["type", "outcome"], registry=REGISTRY
)

_CLIENT_LEFT = 499  # nobody hears it; nginx counts them so
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def taken(candidates: Sequence[Candidate], receipts: Sequence[Receipt]) -> None:
    """Count what was answered: accepted, repeated, grouped or in conflict."""
    each = Tally(
        (one.type.name, str(receipt.outcome)) for one, receipt in zip(candidates, receipts, strict=True)
    )
    for labels, count in each.items():
        TAKEN.labels(*labels).inc(count)


class Counted:
    """By the route's own path, not the caller's: there are only so many of those."""

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
    """What nobody answered for. Only its kind is told to anybody: what it says may hold addresses."""
    kind = type(getattr(error, "orig", None) or error).__name__
    if away := ledger_away(error):
        logger.warning("the ledger does not answer: %s", kind)
        return away
    logger.error("the gateway made a mistake: %s", kind)
    return Problem("internal", "the gateway made a mistake; its log names it")


def count(method: str, route: str, status: int, seconds: float | None = None) -> None:
    """Count an answer, and how long it took where that is known."""
    requests, times = _counters(_method(method), route, status)
    requests.inc()
    if seconds is not None:
        times.observe(seconds)


@lru_cache(1000)
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Of one kind of answer: to find them by their labels takes longer than to count."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(route)


def _method(method: str) -> str:
    return method if method in ("GET", "POST", "PUT", "DELETE") else "other"
