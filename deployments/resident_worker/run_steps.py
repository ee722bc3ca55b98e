"""The steps by which a worker takes a run, runs it and releases its notifications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar
from uuid import UUID

from waypost.delivery.runtime import Runtime
from waypost.deployments.resident_worker.run_slots import HasId
from waypost.deployments.stopping import in_hand
from waypost.ledger import Ledger
from waypost.ledger.database.trouble import trouble
from waypost.ledger.queue import batches
from waypost.model.batch import emptied_after_the_run
from waypost.model.notification_type import NotificationType
from waypost.system.outage import is_outage
from waypost.tasks.faults import CodeFailed
from waypost.tasks.run_context import give_back_all

R = TypeVar("R", bound=HasId, contravariant=True)

LEDGER_AWAY_SECONDS = 2.0  # how long a run with its own requests keeps its slot before it is tried again


class LedgerAway(RuntimeError):
    """The ledger does not answer. Names the error."""


class RunCalls(Protocol[R]):
    """The part of a run that is Prefect's."""

    async def type_of(self, run: R) -> NotificationType | None:
        """The type that the run sends, if it is known."""
        ...

    def has_batch(self, run: R) -> bool:
        """Whether the run was created for a batch, and brings no requests of its own."""
        ...

    async def claim(self, run: R) -> bool:
        """Ask Prefect for the run. False when another worker has it."""
        ...

    async def run_flow(self, run: R) -> BaseException | None:
        """Run the flow to its end. Returns the error that failed it."""
        ...


async def take_and_run(calls: RunCalls[R], run: R, *, ours: bool, stopping: Callable[[], bool]) -> None:
    """Make the run ours, if it is not, then run it, then release its batches and their contents, however it
    ends. If this process's stop cut the run short, its batches go to another run. Raises LedgerAway, and what
    `calls` raise.

    ours: the run was created for this process. stopping: whether this process is stopping.
    """
    announced = await _announce(calls, run)
    if ours or await calls.claim(run):
        await _hold_and_run(calls, run, announced, stopping)


async def _announce(calls: RunCalls[R], run: R) -> UUID | None:
    """Open a batch for a run that brings its own requests, before the run is ours. If this process dies
    before the requests are accepted, the worker that finds the batch restarts the run. A worker that
    does not get the run leaves the batch, which may be the winner's too. Raises LedgerAway."""
    if calls.has_batch(run):
        return None
    try:
        type = await calls.type_of(run)
    except Exception:
        return None  # the error is told once the run is ours
    if type is None:
        return None
    try:
        return await batches.open_for_run((await Runtime.current()).ledger, type, run.id)
    except Exception as error:
        if is_outage(error):
            raise LedgerAway(trouble(error)) from None
        raise


async def _end_unused(ledger: Ledger, announced: UUID) -> None:
    """End the batch of a run that failed before it accepted a request, for example by its parameters."""
    try:
        await batches.end_unused(ledger, announced)
    except Exception as error:
        if not is_outage(error):
            raise
        # A worker ends the batch once its lease has lapsed.


async def _hold_and_run(
    calls: RunCalls[R], run: R, announced: UUID | None, stopping: Callable[[], bool]
) -> None:
    runtime = await Runtime.current()
    async with in_hand(runtime.ledger, runtime.leases, stopping) as held:
        with emptied_after_the_run():
            if announced is not None:
                runtime.leases.hold_for_run(announced)
            failed = await calls.run_flow(run)
            if failed is not None and announced is not None:
                await _end_unused(runtime.ledger, announced)
            if isinstance(failed, CodeFailed) and (type := await calls.type_of(run)) is not None:
                await give_back_all(held, type, failed)
