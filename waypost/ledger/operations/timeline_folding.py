"""Folds what repeats in a timeline: many attempts with one answer become one line. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from waypost.ledger.operations.explanation import TimelineEntry
from waypost.policy.repeated_answers import essence

FEWEST = 3  # attempts in a folded line
ALIKE = 1.5  # waits that differ by less are told as one
_LAST = re.compile(r"attempt (?P<number>\d+) (?P<how>deferred|postponed)")
_BEFORE = re.compile(r"claimed|started by its run|attempt \d+ started")


@dataclass(frozen=True, slots=True)
class _Round:
    """The lines of one attempt, from its claim to its answer."""

    lines: Sequence[TimelineEntry]

    @property
    def last(self) -> TimelineEntry:
        return self.lines[-1]

    @property
    def number(self) -> str:
        found = _LAST.fullmatch(self.last.what)
        return found["number"] if found else ""

    @property
    def kind(self) -> tuple[str, str] | None:
        """How it ended; the same for rounds that may be folded together. None when it tells more than an
        attempt."""
        found = _LAST.fullmatch(self.last.what)
        if found is None or not isinstance(self.last.at, datetime):
            return None
        if not all(_BEFORE.fullmatch(line.what) for line in self.lines[:-1]):
            return None
        return found["how"], essence(self.last.detail)


def folded(timeline: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """`timeline`, with three or more attempts in a row that got the same answer as one line."""
    result: list[TimelineEntry] = []
    alike: list[_Round] = []
    for one in _rounds(timeline):
        if alike and one.kind != alike[0].kind:
            result += _told(alike)
            alike = []
        if one.kind is None:
            result += one.lines
        else:
            alike.append(one)
    return result + _told(alike)


def _rounds(timeline: Sequence[TimelineEntry]) -> list[_Round]:
    rounds: list[_Round] = []
    lines: list[TimelineEntry] = []
    for line in timeline:
        lines.append(line)
        if _LAST.fullmatch(line.what):
            rounds.append(_Round(lines))
            lines = []
    return [*rounds, _Round(lines)] if lines else rounds


def _told(rounds: Sequence[_Round]) -> list[TimelineEntry]:
    if len(rounds) < FEWEST:
        return [line for one in rounds for line in one.lines]
    first, last = rounds[0], rounds[-1]
    how = last.kind[0] if last.kind else ""
    moments = [one.last.at for one in rounds if isinstance(one.last.at, datetime)]
    detail = f"{last.last.detail}; {_paced(moments)}; the last at {moments[-1]:%Y-%m-%d %H:%M:%S}"
    what = f"attempts {first.number} to {last.number} {how}"
    return [TimelineEntry(moments[0], what, detail, last.last.batch, last.last.run)]


def _paced(moments: Sequence[datetime]) -> str:
    waits = sorted(later - sooner for sooner, later in pairwise(moments))
    if waits[-1] <= waits[0] * ALIKE:
        return f"every {_span(waits[len(waits) // 2])}"
    return f"after {_span(waits[0])} to {_span(waits[-1])}"


def _span(wait: timedelta) -> str:
    seconds = wait.total_seconds()
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
