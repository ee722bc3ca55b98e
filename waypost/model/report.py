"""The report of a finished run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from pydantic import BaseModel

from waypost.model.states import State


class Report(BaseModel):
    """Counts every notification of a run by the state it ended in. again: how many of those sent may have
    arrived before, because the outcome of an earlier attempt is unknown."""

    type: str
    batch: UUID
    states: dict[State, int] = {}
    again: int = 0

    @classmethod
    def of(cls, type: str, batch: UUID, states: Iterable[State], again: int = 0) -> Report:
        """Count `states`."""
        return cls(type=type, batch=batch, states=dict(Counter(states)), again=again)

    @property
    def total(self) -> int:
        return sum(self.states.values())

    def __str__(self) -> str:
        if not self.states:
            return "nothing was due"
        counted = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return f"{counted} ({self.again} perhaps for the second time)" if self.again else counted
