"""The runs of one Prefect server, as the dispatcher and the reconciler use them.

A run is given a batch id and nothing else, so that Prefect never sees an address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentFlowRunCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterIdempotencyKey,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Scheduled, to_state_create

from waypost.deployments import deploy, former_deployments
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.pauses import Change, Pauses, changes
from waypost.deployments.dispatcher.prefect_calls import PrefectCalls
from waypost.deployments.dispatcher.run_corrections import correct
from waypost.deployments.dispatcher.runs import (
    LocalRunner,
    Progress,
    Refused,
)
from waypost.deployments.known_deployments import KnownDeployments
from waypost.deployments.paused_lanes import Notices, look
from waypost.deployments.registry import find, registered
from waypost.deployments.resident_worker.prefect_blocks import PrefectBlocks
from waypost.ledger.queue.claims import Claim
from waypost.tasks.run_name import run_name
from waypost.tasks.run_state import state_named_by

DIRECT = "without-prefect"
LOST = (400, 404)  # the responses for a deployment without its work pool, and for a missing deployment

T = TypeVar("T")
logger = logging.getLogger("waypost.prefect")


class PrefectRuns:
    """The runs of one Prefect server, over an open Prefect client and without its long retries."""

    def __init__(
        self, client: PrefectClient, work_pool: str, outage: PrefectOutage, taker: LocalRunner | None = None
    ) -> None:
        """taker: takes runs created here at once, if it can; other runs wait in the work pool."""
        self._taker = taker
        self._calls = PrefectCalls(client, outage)
        self._work_pool = work_pool
        self._deployments: dict[str, UUID] = {}
        self._limited: set[UUID] = set()
        self._known = KnownDeployments()
        self._deploying = asyncio.Lock()

    async def start(self, claim: Claim) -> UUID:
        """Create the run for a batch, in the queue of its priority.

        A run that this process takes is created Pending: Prefect offers it to no other worker, and two calls
        to the API (a tenth of a second) are saved.
        """
        async with self._calls.asking() as client:
            mine = Pending(message=f"Taken by {self._taker.name}") if self._taker else None
            ours = await self._is_taken_here(client, claim)
            run = await self._create(
                client,
                claim.type,
                parameters={"batch": str(claim.id)},
                name=run_name(find(claim.type).type, claim.size, claim.attempt, claim.priority),
                tags=[f"attempt:{claim.attempt}"] if claim.attempt > 1 else [],
                idempotency_key=str(claim.id),
                work_queue_name=str(claim.priority),
                state=to_state_create(mine if mine and ours else Scheduled()),
            )
        # An earlier call may have created the run and lost the response: the run's actual state says
        # whose run it is.
        if self._taker and mine and _is(mine, run.state):
            if self._taker.may_take(claim.priority):
                self._taker.take(run, claim.priority)
            else:
                await self.reschedule(run.id)
        return run.id

    async def _is_taken_here(self, client: PrefectClient, claim: Claim) -> bool:
        """Whether this process takes the run from the start. If its deployment has a concurrency limit,
        Prefect assigns it."""
        if self._taker is None or not self._taker.may_take(claim.priority):
            return False
        return await self._deployment(client, claim.type) not in self._limited

    async def _create(self, client: PrefectClient, type: str, **described: Any) -> FlowRun:
        """Create a run of the type's deployment. Deploys again if the server does not know the deployment (it
        is new, or lost its database) or lost its work pool."""
        known = self._deployments
        try:
            return await _created(client, await self._deployment(client, type), described)
        except (ObjectNotFound, httpx.HTTPStatusError) as error:
            if not _is_lost(error):
                raise
        async with self._deploying:
            if self._deployments is known:  # else another call has deployed them all
                self._deployments = await deploy.deploy(client, self._work_pool)
        return await _created(client, await self._deployment(client, type), described)

    async def _deployment(self, client: PrefectClient, type: str) -> UUID:
        if type not in self._deployments:
            found = await client.read_deployment_by_name(find(type).deployment)
            self._deployments[type] = found.id
        return self._deployments[type]

    async def progress(self, ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """How far each run has come; runs unknown to Prefect are left out."""
        if not ids:
            return {}
        async with self._calls.asking() as client:
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=list(ids)))
            runs = await client.read_flow_runs(flow_run_filter=wanted, limit=len(ids))
        return {run.id: _progress(run.state) for run in runs}

    async def runs_of_batches(self, batches: Sequence[UUID]) -> dict[UUID, UUID]:
        """The runs that were created for these batches, by batch. The creating process may have died before
        it recorded them."""
        if not batches:
            return {}
        keys = {str(batch): batch for batch in batches}
        async with self._calls.asking() as client:
            wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=list(keys)))
            runs = await client.read_flow_runs(flow_run_filter=wanted, limit=len(keys))
        return {keys[run.idempotency_key]: run.id for run in runs if run.idempotency_key in keys}

    async def crashed(self, id: UUID, message: str) -> None:
        """Show the run as Crashed, unless it is shown as ended."""
        async with self._calls.asking() as client:
            await correct(client, id, Crashed(message=message))

    async def cancelled(self, id: UUID, message: str) -> None:
        """Show the run as Cancelled, unless it is shown as ended."""
        async with self._calls.asking() as client:
            await correct(client, id, Cancelled(message=message))

    async def completed(self, id: UUID, message: str, at: datetime, *, direct: bool = False) -> None:
        """Show the run in the state that the counts in `message` make, unless it is shown as ended or was
        started again after `at`. direct: its work was done without Prefect, and its tags say so. A run that
        found its batch sent then has ended with less."""
        kind, name = state_named_by(message)
        made = Failed if kind is StateType.FAILED else Completed
        async with self._calls.asking() as client:
            await correct(client, id, made(name=name, message=message, timestamp=at), at, direct=direct)
            if direct:
                run = await client.read_flow_run(id)
                await client.update_flow_run(id, tags=sorted({*run.tags, DIRECT}))

    async def reschedule(self, id: UUID) -> None:
        """Let the run start once more: its worker was lost before it accepted any of the requests."""
        again = Scheduled(message="The worker did not start this run; it is scheduled again.")
        async with self._calls.asking() as client:
            await correct(client, id, again)

    async def record_completed(self, type: str, batch: UUID, size: int, message: str, at: datetime) -> UUID:
        """Create a run for a batch sent while Prefect did not answer, and show it as Completed."""
        async with self._calls.asking() as client:
            run = await self._create(
                client,
                type,
                parameters={"batch": str(batch)},
                name=f"{size} {type} · without Prefect",
                tags=[DIRECT],
                idempotency_key=f"{batch}-{DIRECT}",
                state=to_state_create(Pending()),
            )
        await self.completed(run.id, message, at, direct=True)
        return run.id

    async def look_at_deployments(self, pauses: Pauses) -> None:
        """Deploy again when the server knows none of the deployments (it is new, or has lost its database,
        and the schedules with it), or when their work pool was deleted. A single deployment that a person
        deleted stays deleted. Records which deployments have a concurrency limit, holds the types of those
        that a person has paused, and pauses those of held types."""
        sides = await pauses.sides(list(registered()))
        async with self._calls.asking() as client:
            known, former = await self._of_our_types(client)
            await former_deployments.remove_finished(client, former)
            if not known or any(one.work_pool_name is None for one in known):
                logger.warning(
                    "the deployments or their work pool are missing in Prefect; creating them again"
                )
                self._deployments = await deploy.deploy(client, self._work_pool)
            self._limited = {one.id for one in known if one.global_concurrency_limit is not None}
        for change in changes(sides, known):
            await self._mirror(pauses, change)

    async def _of_our_types(
        self, client: PrefectClient
    ) -> tuple[list[DeploymentResponse], list[DeploymentResponse]]:
        """The deployments of the types, and those of earlier versions."""
        ours = {one.deployment for one in registered().values()}
        found = await self._known.read(client, ours, [former_deployments.NAME])
        others = [one for name, one in found.items() if name not in ours]
        return (
            [one for name, one in found.items() if name in ours],
            [one for one in others if former_deployments.is_former(one, self._work_pool)],
        )

    async def _mirror(self, pauses: Pauses, change: Change) -> None:
        """Bring both sides to agree. Prefect's comes first where the ledger's was changed: what is kept as
        agreed must be shown, or the next look would take it for a person's change."""
        if change.came_from_prefect and not await pauses.settle(change):
            return  # the ledger was changed meanwhile: the next look decides
        update = change.update
        if update is not None and (change.came_from_prefect or await pauses.is_current(change)):
            try:
                async with self._calls.asking() as client:
                    await client.update_deployment(change.deployment.id, update)
            except (ObjectNotFound, Refused) as error:
                logger.warning("Prefect does not show whether %s is held: %s", change.type, error)
                return
        if not change.came_from_prefect:
            await pauses.settle(change)

    async def look_at_blocks(self, blocks: PrefectBlocks) -> None:
        """Load the providers and brands that are kept as blocks, as they are now."""
        async with self._calls.asking() as client:
            await blocks.look(client)

    async def look_at_lanes(self, notices: Notices) -> None:
        """Tell `notices` which lanes are stopped in Prefect."""
        async with self._calls.asking() as client:
            notices.tell(await look(client, self._work_pool))

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, which uses the client, without the client's long retries."""
        async with self._calls.asking():
            return await call()

    async def probe(self) -> None:
        """Ask whether Prefect answers."""
        async with self._calls.asking() as client:
            await client.read_work_pools(limit=1)  # needs the server's database too


async def _created(client: PrefectClient, deployment: UUID, described: dict[str, Any]) -> FlowRun:
    """As PrefectClient.create_flow_run_from_deployment, but the server does not validate our parameter
    against the flow's schema: for a large schema, that takes it as long as all the rest."""
    wanted = DeploymentFlowRunCreate(enforce_parameter_schema=False, **described)
    answer = await client.request(
        "POST",
        "/deployments/{id}/create_flow_run",
        path_params={"id": deployment},
        json=wanted.model_dump(mode="json", exclude_unset=True),
    )
    return FlowRun.model_validate(answer.json())


def _is(wanted: State[Any], state: State[Any] | None) -> bool:
    return state is not None and (state.type, state.message) == (wanted.type, wanted.message)


def _progress(state: State[Any] | None) -> Progress:
    if state is None or state.is_scheduled():
        return Progress.WAITING
    if state.is_cancelled():
        return Progress.CANCELLED
    if state.is_final():
        return Progress.ENDED
    return Progress.STARTING if state.is_pending() else Progress.RUNNING


def _is_lost(error: Exception) -> bool:
    """Whether an object is missing; only some calls of Prefect's client raise ObjectNotFound for that."""
    return isinstance(error, ObjectNotFound) or (
        isinstance(error, httpx.HTTPStatusError) and error.response.status_code in LOST
    )
