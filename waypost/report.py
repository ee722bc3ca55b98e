"""What a run says when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from pydantic import BaseModel

from waypost.states import State


class Report(BaseModel):
    """An account of every notification of a run, by the state it ended in."""

    type: str
    batch: UUID
    states: dict[State, int] = {}

    @classmethod
    def of(cls, type: str, batch: UUID, states: Iterable[State]) -> Report:
        """Count `states`."""
        return cls(type=type, batch=batch, states=dict(Counter(states)))

    @property
    def total(self) -> int:
        return sum(self.states.values())

    def __str__(self) -> str:
        if not self.states:
            return "nothing was due"
        return ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
