"""The interfaces by which the dispatcher starts runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from waypost.ledger.queue.claims import Claim
from waypost.model.priority import Priority


class Progress(Enum):
    """How far a run has come."""

    WAITING = auto()  # no worker has it
    STARTING = auto()  # a worker has it, its code does not run yet
    RUNNING = auto()
    ENDED = auto()
    CANCELLED = auto()  # a person cancelled it

    @property
    def is_over(self) -> bool:
        return self in (Progress.ENDED, Progress.CANCELLED)


class PrefectAway(RuntimeError):
    """The Prefect API does not answer, or not as it should."""


class Refused(RuntimeError):
    """Prefect answers and refuses the request. The text is Prefect's reason."""


class RequestFailed(Refused):
    """Prefect answers other requests and fails at this one (500). A later try may succeed."""


class Runs(Protocol):
    """The requests to Prefect. Every call raises PrefectAway when Prefect does not answer, and Refused when
    it refuses the request."""

    async def start(self, claim: Claim) -> UUID:
        """Create the run that will take the batch up. Creating it again returns the same run."""
        ...

    async def progress(self, ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """How far each run has come; runs unknown to Prefect are left out."""
        ...

    async def probe(self) -> None:
        """Ask whether Prefect answers."""
        ...


class CorrectedRuns(Protocol):
    """The requests that show in Prefect how runs ended. Every call raises PrefectAway when Prefect does not
    answer, RequestFailed when it fails at this request alone, and Refused when it refuses the request."""

    async def progress(self, ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """How far each run has come; runs unknown to Prefect are left out."""
        ...

    async def runs_of_batches(self, batches: Sequence[UUID]) -> dict[UUID, UUID]:
        """The run that was created for each batch, if there is one."""
        ...

    async def crashed(self, id: UUID, message: str) -> None:
        """Show a run as crashed, unless it has ended."""
        ...

    async def cancelled(self, id: UUID, message: str) -> None:
        """Show a run as cancelled, unless it has ended."""
        ...

    async def completed(self, id: UUID, message: str, at: datetime, *, direct: bool = False) -> None:
        """Show a run as completed. direct: its batch was sent without Prefect."""
        ...

    async def reschedule(self, id: UUID) -> None:
        """Let a run start again."""
        ...

    async def record_completed(self, type: str, batch: UUID, size: int, message: str, at: datetime) -> UUID:
        """Create a completed run for a batch that never had one. Returns its id."""
        ...


class LocalRunner(Protocol):
    """Takes runs in this process."""

    name: str

    def may_take(self, lane: Priority) -> bool:
        """Whether a run of that lane can begin here now."""
        ...

    def take(self, run: FlowRun, lane: Priority) -> None:
        """Begin a run that was created for this process."""
        ...


class Worker(Protocol):
    """Runs flow runs in this process, if the process does that too."""

    def lanes(self) -> Mapping[UUID, Priority]:
        """The flow runs in progress here, by id, with the lane of each."""
        ...
