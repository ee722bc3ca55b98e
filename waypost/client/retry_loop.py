"""The retry loop, as steps that either client carries out in its own way.

A step is a request, or a pause before the next request. Steps do not depend on whether a client awaits them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from pydantic import ValidationError

from waypost.api.schemas import Problem, Result
from waypost.client import requests
from waypost.client.errors import GatewayError, Refused, Unavailable
from waypost.client.requests import Call
from waypost.client.retry_policy import Answer, Lost, may_repeat, pause
from waypost.client.send import Send, batches
from waypost.system.isolation import ItemFailed, isolated

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Make this request. timeout: seconds that each of its parts may take."""

    call: Call[Any]
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Steps = Generator[Attempt | Pause, Answer | Lost | None, T]


@dataclass(frozen=True, slots=True)
class Patience:
    """timeout: seconds for one request; deadline: for all tries together."""

    timeout: float
    deadline: float


def exchange(call: Call[T], patience: Patience) -> Steps[T]:
    """Make `call`, with retries. Raises GatewayError."""
    ends, tries = monotonic() + patience.deadline, 0
    while True:
        left = ends - monotonic()
        got = yield Attempt(call, max(0.1, min(patience.timeout, left)))
        assert got is not None  # noqa: S101 - an attempt is always answered
        tries += 1
        if isinstance(got, Answer) and 200 <= got.status < 300:
            return _read(call, got)
        seconds = pause(tries, got)
        if not may_repeat(got, call.repeatable) or seconds >= ends - monotonic():
            raise failure(got)
        yield Pause(seconds)


def delete(call: Call[bool], patience: Patience) -> Steps[bool]:
    """Whether there was anything to delete. It may be false after a lost response to the real deletion."""
    try:
        return (yield from exchange(call, patience))
    except Refused as refused:
        if refused.code != "not-found":
            raise
        return False


def send_many(items: Iterable[Send], patience: Patience) -> Steps[list[Result]]:
    """One result per item, in order. Each batch has the whole deadline. Raises GatewayError."""
    results: list[Result] = []
    for batch in batches(_written(item) for item in items):
        results += yield from _send_batch(batch, patience)
    return results


def _written(item: Send) -> bytes | Result:
    """The item as JSON, or its result where JSON cannot hold it."""
    try:
        with isolated("writing an item as JSON"):
            return item.as_json()
    except ItemFailed as failed:
        return Result(status=422, error=_unwritable(str(failed)))


def _unwritable(why: str) -> Problem:
    return Problem(type="/v1/problems/invalid", title="Not sent", status=422, detail=why, code="invalid")


def _send_batch(batch: list[bytes | Result], patience: Patience) -> Steps[list[Result]]:
    """Send a batch. Items that the ledger could not take are retried under the same idempotency keys."""
    ends, tries = monotonic() + patience.deadline, 0
    placed = {at: one for at, one in enumerate(batch) if isinstance(one, Result)}
    bodies = {at: one for at, one in enumerate(batch) if isinstance(one, bytes)}
    left: list[int] = list(bodies)
    while left:
        found = yield from exchange(requests.send_batch([bodies[at] for at in left]), patience)
        if len(found) != len(left):
            raise Unavailable("unexpected", "the gateway returned another number of results than items")
        tries += 1
        placed.update(zip(left, found, strict=True))
        left = [at for at in left if placed[at].status == 503]
        seconds = pause(tries, Answer(503, b""))
        if left and seconds >= ends - monotonic():
            break
        if left:
            yield Pause(seconds)
    return [placed[at] for at in range(len(batch))]


def failure(got: Answer | Lost) -> GatewayError:
    """The error to raise for `got`."""
    if isinstance(got, Lost):
        return Unavailable("unreachable", f"the gateway did not respond ({got.kind})")
    kind = Refused if 400 <= got.status < 500 and got.status != 429 else Unavailable
    try:
        problem = Problem.model_validate_json(got.body)
    except ValidationError:
        return kind(
            "unexpected", f"HTTP {got.status}, but not from a Waypost gateway; check its URL", got.status
        )
    return kind(problem.code, problem.detail, got.status, problem.errors)


def _read(call: Call[T], got: Answer) -> T:
    try:
        return call.read(got.body)
    except ValidationError:
        pass  # its message may contain addresses
    raise Unavailable(
        "unexpected", "the gateway's response has an unknown form; update the client", got.status
    )
