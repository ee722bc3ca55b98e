"""What the dispatcher asks of whatever starts runs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from waypost.ledger.queue.claims import Claim
from waypost.model.priority import Priority


class Progress(Enum):
    """How far a run has come."""

    WAITING = auto()  # nobody has taken it
    STARTING = auto()  # a worker has it, its code does not run yet
    RUNNING = auto()
    ENDED = auto()


class PrefectAway(RuntimeError):
    """The Prefect API does not answer, or not as it should."""


class Refused(RuntimeError):
    """Prefect answers, and will not have what was asked. Says why, in its words."""


class Runs(Protocol):
    """What is asked of Prefect. Every call raises PrefectAway when it does not answer, and Refused when it
    does and will not."""

    async def start(self, claim: Claim) -> UUID:
        """Create the run that will take the batch up. Creating it again answers the same run."""
        ...

    async def progress(self, ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """How far each run has come; one that is missing Prefect does not know."""
        ...

    async def probe(self) -> None:
        """Ask whether it answers."""
        ...


class LocalRunner(Protocol):
    """What takes runs in this process."""

    name: str

    def may_take(self, lane: Priority) -> bool:
        """Whether a run of that lane can be begun here and now."""
        ...

    def take(self, run: FlowRun, lane: Priority) -> None:
        """Begin a run that was created in our hands."""
        ...
