"""How long leases have not been renewed, by a clock of this process: no IO."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID


class Stillness:
    """Counts, for each open batch, the seconds in which its owner could have renewed the lease and did not.

    Only time between looks that succeeded counts: while the ledger cannot be written, no owner can renew. A
    look that comes late counts for `longest` seconds at most, as whatever delayed it (a ledger that hangs, a
    machine that sleeps) delays renewals too.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._looked_at: float | None = None
        self._seen: dict[UUID, tuple[datetime | None, float]] = {}

    def look(self, leases: Mapping[UUID, datetime | None], steady: float) -> dict[UUID, float]:
        """How long each of `leases` has not been renewed, in seconds. leases: all open batches and the ends
        of their leases; None where it cannot be read. steady: seconds of a monotonic clock."""
        passed = 0.0 if self._looked_at is None else min(steady - self._looked_at, self._longest)
        self._looked_at = steady
        self._seen = {id: (until, self._counted(id, until, passed)) for id, until in leases.items()}
        return {id: still for id, (_, still) in self._seen.items()}

    def _counted(self, id: UUID, until: datetime | None, passed: float) -> float:
        before = self._seen.get(id)
        return before[1] + passed if before and before[0] == until else 0.0

    def over(self, seconds: float) -> list[UUID]:
        """The batches whose leases have not been renewed for longer."""
        return [id for id, (_, still) in self._seen.items() if still > seconds]

    def forget(self) -> None:
        """Restart the count after a failed look, which leaves every owner the time to renew."""
        self._looked_at = None
        self._seen = {}
