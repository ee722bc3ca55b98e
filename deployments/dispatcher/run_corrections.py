"""Corrects what Prefect shows of a run that could not report its own end."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateDetails
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from waypost.deployments.dispatcher.prefect_calls import BROKEN, after_failure
from waypost.deployments.dispatcher.runs import RequestFailed
from waypost.ledger.queue import claims
from waypost.ledger.queue.batches import BatchResult

STEPS = 50  # of a run, at most: a type's flow may have steps of its own


async def correct(
    client: PrefectClient, id: UUID, state: State[Any], at: datetime | None = None, *, direct: bool = False
) -> None:
    """Show the run and its steps as ended in `state`, unless it is shown as ended or was started again after
    `at`. direct: its batch was sent without Prefect; a run that found it sent then has ended with less."""
    try:
        run = await client.read_flow_run(id)
    except ObjectNotFound:
        return
    if at and run.state and run.state.is_running() and run.state.timestamp > at:
        return
    if run.state is None or not run.state.is_final() or (direct and _came_late(run.state)):
        await _set(client, run, state)
        if state.is_final():
            await _end_steps(client, id, state.message or "")


async def _set(client: PrefectClient, run: FlowRun, state: State[Any]) -> None:
    """Set the state of a run by force. A run may hold a slot of a concurrency limit that its deployment lost
    meanwhile. Prefect then fails at every state that frees the slot (500), so the run forgets it first."""
    try:
        answer = await client.set_flow_run_state(run.id, state, force=True)
    except httpx.HTTPStatusError as error:
        before = run.state
        if error.response.status_code != BROKEN or before is None:
            raise
        if before.state_details.deployment_concurrency_lease_id is None:
            raise
        without_slot = before.model_copy(update={"state_details": StateDetails()})
        await after_failure(lambda: client.set_flow_run_state(run.id, without_slot, force=True))
        answer = await client.set_flow_run_state(run.id, state, force=True)
    if answer.status is SetStateStatus.ABORT:  # Prefect's database failed at it
        raise RequestFailed(getattr(answer.details, "reason", None) or "no reason given")


async def _end_steps(client: PrefectClient, run: UUID, message: str) -> None:
    """Show the steps of a run that has ended as ended too: their worker did not live to tell."""
    its = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    for step in await client.read_task_runs(flow_run_filter=its, limit=STEPS):
        if step.state is None or not step.state.is_final():
            await client.set_task_run_state(step.id, Crashed(message=message), force=True)


def _came_late(state: State[Any]) -> bool:
    """Whether the run ended so because its batch had been sent without Prefect."""
    return (state.message or "").endswith(claims.HAS_ENDED.format(BatchResult.DIRECT))
