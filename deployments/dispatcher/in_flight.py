"""A dispatcher's records of the batches it has claimed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from waypost.ledger.queue.claims import Claim
from waypost.model.priority import Priority

LASTING_SECONDS = 1.0  # after a run has been sending this long, its lane may start another

LaneKey = tuple[str, Priority]


@dataclass(slots=True)
class InFlightBatch:
    """A batch this dispatcher claimed. The dispatcher keeps the lease until a run takes the batch up; then
    that run's process does, so that its death is noticed. size: notifications in the batch, which grows to
    `most` until then. since: when the batch could first have had a run (steady seconds). creating: seconds
    that its run's creation took. here_since: when its run was first in progress in this process."""

    claim: Claim
    size: int
    most: int
    since: float
    run: UUID | None = None
    held: bool = True
    direct: asyncio.Task[None] | None = None
    seen_here: bool = False
    asked_at: float = 0.0
    begun_at: float = 0.0
    taken_at: float = 0.0
    creating: float = 0.0
    here_since: float | None = None

    def is_quick(self, moment: float) -> bool:
        """Whether due notifications of its lane should wait for it: it takes them along, or ends soon."""
        if self.direct is not None or self.size >= self.most:
            return False
        return self.held or moment - self.taken_at < LASTING_SECONDS


def lane_of(claim: Claim) -> LaneKey:
    """The type and the priority of a batch."""
    return claim.type, claim.priority
