"""The batches at which Prefect fails: each is tried again after growing waits, and does not delay others."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from waypost.deployments.dispatcher.in_flight import LaneBackoff


class Setbacks:
    """Until when each batch waits."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._of: dict[UUID, LaneBackoff] = {}

    def __contains__(self, id: UUID) -> bool:
        return id in self._of

    def waiting(self) -> list[UUID]:
        """The batches that are not tried now."""
        moment = self._steady()
        return [id for id, one in self._of.items() if one.until > moment]

    def add(self, id: UUID) -> bool:
        """Note a failure. Returns whether it is the first of the batch."""
        is_first = id not in self._of
        self._of.setdefault(id, LaneBackoff()).again(self._steady())
        return is_first

    def over(self, id: UUID) -> None:
        """Forget the batch: its run is shown as it ended, or nobody tries any more."""
        self._of.pop(id, None)
