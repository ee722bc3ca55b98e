"""The Prometheus registry, and every metric in it."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "waypost_gateway_requests",
    "Requests answered, by method, route and status",
    ["method", "route", "status"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "waypost_gateway_request_seconds",
    "Seconds from request to response",
    ["route"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TAKEN = Counter(
    "waypost_gateway_notifications",
    "Requests for notifications, by type and outcome",
    ["type", "outcome"],
    registry=REGISTRY,
)
MAILS = Counter(
    "waypost_gateway_mails", "Submitted mails, by reply code", ["code"],
    registry=REGISTRY,
)  # fmt: skip
POSTS = Counter(
    "waypost_gateway_webhook_posts", "Events posted to webhooks, by outcome", ["outcome"], registry=REGISTRY
)


def count(method: str, route: str, status: int, seconds: float | None = None) -> None:
    """Count a response, and how long it took if that is known."""
    requests, times = _counters(_method(method), route, status)
    requests.inc()
    if seconds is not None:
        times.observe(seconds)


@lru_cache(1000)
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The metrics for one kind of response, cached: finding them by labels takes longer than counting."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(route)


def _method(method: str) -> str:
    return method if method in ("GET", "POST", "PUT", "DELETE") else "other"
