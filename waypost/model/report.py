"""The report of a finished run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from waypost.model.states import State

SOURCE_FAILED = "the source failed"
IS_HELD = " is held"  # ends the summary of a run that found its type held


class Report(BaseModel):
    """Counts every notification of a run by the state it ended in. again: how many of those sent may have
    arrived before, because the outcome of an earlier attempt is unknown. next_try: when the first of the
    deferred is due again. reasons: the first reasons of those not sent, the worst first, without addresses.
    refused: how many requests were not accepted. note: why the run sends less than it was given, and what to
    do. held: the type is held, so nothing went out. only_failed: a retry, and all that it took up again had
    failed. left: how many notifications of earlier tries a retry leaves as they are, by state. before: the
    runs that tried the notifications last. repeats: each was deferred as in the run before. trouble: why the
    source of its requests was not read to its end. wrong: the run's batch does not exist, or is of another
    type."""

    type: str
    batch: UUID
    states: dict[State, int] = {}
    again: int = 0
    next_try: datetime | None = None
    reasons: list[str] = []
    refused: int = 0
    note: str = ""
    held: bool = False
    only_failed: bool = False
    left: dict[State, int] = {}
    before: list[UUID] = []
    repeats: bool = False
    trouble: str = ""
    wrong: bool = False

    @classmethod
    def of(cls, type: str, batch: UUID, states: Iterable[State], **more: Any) -> Report:
        """Count `states`. more: the other fields."""
        return cls(type=type, batch=batch, states=dict(Counter(states)), **more)

    @property
    def total(self) -> int:
        return sum(self.states.values())

    def __str__(self) -> str:
        counts = [f"{count} {state}" for state, count in sorted(self.states.items())]
        if self.refused:
            counts.insert(0, f"{self.refused} not accepted")
        if self.trouble:
            counts.append(SOURCE_FAILED)
        if not counts:
            return self._nothing
        counted = ", ".join(counts)
        return f"{counted} ({self.again} possibly twice)" if self.again else counted

    @property
    def _nothing(self) -> str:
        """What a run without notifications says in a word; its note says why."""
        if self.held:
            return f"{self.type}{IS_HELD}"
        return "nothing was sent" if self.note else "nothing was due"
