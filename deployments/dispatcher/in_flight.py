"""What a dispatcher knows of the batches it has claimed, and of lanes whose runs come to nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from waypost.ledger.queue.claims import Claim
from waypost.model.priority import Priority

SOONEST_SECONDS, LATEST_SECONDS = 0.5, 60.0  # waits after runs that could not be made, or ended unbegun
LASTING_SECONDS = 1.0  # a run that has been sending for so long gets another beside it

LaneKey = tuple[str, Priority]


@dataclass(slots=True)
class InFlightBatch:
    """A batch this dispatcher claimed. It keeps the lease until a run has taken the batch up: from then on
    that run's process does, so that its death is noticed. size: what it holds, which grows until then to
    `most`. since: when it could first have had a run (steady seconds)."""

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

    def is_quick(self, moment: float) -> bool:
        """What is due in its lane does better to wait for it: it takes that along, or ends in a moment."""
        if self.direct is not None or self.size >= self.most:
            return False
        return self.held or moment - self.taken_at < LASTING_SECONDS


@dataclass(slots=True)
class LaneBackoff:
    """A lane whose runs come to nothing. The first is made again at once, the next after growing waits."""

    until: float = 0.0
    wait: float = 0.0

    def again(self, moment: float) -> None:
        self.until = moment + self.wait
        self.wait = min(max(SOONEST_SECONDS, self.wait * 2), LATEST_SECONDS)


def lane_of(claim: Claim) -> LaneKey:
    """The type and the priority of a batch."""
    return claim.type, claim.priority
