"""Whether and when a request is retried. Pure, except for random jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.2
MOST_SECONDS = 8.0

# The request was not processed: too many requests, or the ledger takes none at the moment.
_NOTHING_DONE = frozenset({429, 503})
# A proxy got no response from the gateway: the request may have been processed.
_NOT_TOLD = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. retry_after: its Retry-After, in seconds or as a date (RFC 9110, section 10.2.3)."""

    status: int
    body: bytes
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """No response came. sent: whether the request may have arrived. kind: the name of the error."""

    sent: bool
    kind: str


def may_repeat(got: Answer | Lost, repeatable: bool) -> bool:
    """Whether the same request may be made again after `got`."""
    if isinstance(got, Lost):
        return repeatable or not got.sent
    return got.status in _NOTHING_DONE or (repeatable and got.status in _NOT_TOLD)


def pause(tries: int, got: Answer | Lost) -> float:
    """Seconds until the next try: doubled for each try, with jitter, and no less than the gateway asks for.
    tries: how many were made."""
    longest = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(tries - 1, 10))
    jittered = longest * random.uniform(0.5, 1.0)
    return max(jittered, _asked(got.retry_after) if isinstance(got, Answer) else 0.0)


def _asked(retry_after: str) -> float:
    """`retry_after` in seconds; 0 if it is neither a number nor a date."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
