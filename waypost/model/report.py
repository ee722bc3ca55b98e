"""The report of a finished run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from waypost.model.states import State


class Report(BaseModel):
    """Counts every notification of a run by the state it ended in. again: how many of those sent may have
    arrived before, because the outcome of an earlier attempt is unknown. next_try: when the first of the
    deferred is due again. reasons: the first reasons of those not sent, the worst first, without addresses.
    refused: how many requests were not accepted. note: why the run sends less than it was given, and what to
    do. left: how many notifications of earlier tries a retry leaves as they are, by state. before: the runs
    that tried the notifications last. repeats: each was deferred as in the run before. wrong: the run's batch
    does not exist, or is of another type."""

    type: str
    batch: UUID
    states: dict[State, int] = {}
    again: int = 0
    next_try: datetime | None = None
    reasons: list[str] = []
    refused: int = 0
    note: str = ""
    left: dict[State, int] = {}
    before: list[UUID] = []
    repeats: bool = False
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
        if not counts:
            return "nothing was due"
        counted = ", ".join(counts)
        return f"{counted} ({self.again} possibly twice)" if self.again else counted
