"""Growing waits: of lanes whose runs fail to start, and of batches at which Prefect fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

SOONEST_SECONDS, LATEST_SECONDS = 0.5, 60.0


@dataclass(slots=True)
class Backoff:
    """The time of the next try: at once after the first failure, later after growing waits."""

    until: float = 0.0
    wait: float = 0.0

    def again(self, moment: float) -> None:
        self.until = moment + self.wait
        self.wait = min(max(SOONEST_SECONDS, self.wait * 2), LATEST_SECONDS)


class BatchBackoffs:
    """The backoffs of batches, so that a batch that fails does not delay others."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._of: dict[UUID, Backoff] = {}

    def __contains__(self, id: UUID) -> bool:
        return id in self._of

    def waiting(self) -> list[UUID]:
        """The batches that are not tried now."""
        moment = self._steady()
        return [id for id, one in self._of.items() if one.until > moment]

    def add(self, id: UUID) -> bool:
        """Note a failure. Returns whether it is the first of the batch."""
        is_first = id not in self._of
        self._of.setdefault(id, Backoff()).again(self._steady())
        return is_first

    def over(self, id: UUID) -> None:
        """Forget the batch: its run is shown as it ended, or nobody tries any more."""
        self._of.pop(id, None)
