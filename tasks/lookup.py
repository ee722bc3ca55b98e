"""Lookup: accept the requests that the run was given, then take the notifications that it is to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.run_context import current_flow_run, run_logger, step
from waypost import Batch, NotificationType, Priority, Request
from waypost.delivery.runtime import Runtime
from waypost.ledger.intake import accept
from waypost.ledger.queue import claims
from waypost.model.notification import Notification
from waypost.model.receipt import IntakeResult, Receipt
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed


async def lookup(
    type: NotificationType, requests: Sequence[Request[Any]] = (), batch: UUID | None = None
) -> Batch[Notification]:
    """The notifications of this run, with recipient, locale and addresses.

    With `requests`: those, accepted first. With `batch`: those claimed under it for this run. With
    neither: notifications of the type that are due and not claimed, one batch at most.
    """
    return await step(_lookup, Batch(type, batch or new_id(), list(requests)), batch is not None)


@task(name="lookup", cache_policy=NO_CACHE)
async def _lookup(asked: Batch[Request[Any]], reserved: bool) -> Batch[Notification]:
    runtime = await Runtime.current()
    ledger, settings, batch = runtime.ledger, runtime.settings, asked.id
    if asked.items:
        requests = _keyed(asked.items)
        batch, receipts = await accept.accept_for_run(ledger, asked.type, requests, current_flow_run())
        _tell(receipts)
    elif not reserved:
        batch = await _whatever_is_due(runtime, asked.type)
        if batch is None:
            return Batch(asked.type, asked.id, [])
    taken = await claims.take_up(
        ledger,
        asked.type.name,
        batch,
        flow_run_id=current_flow_run(),
        limit=0 if asked.items else asked.type.batch_size,
        default_locale=settings.default_locale,
        default_timezone=settings.default_timezone,
    )
    if taken.notifications:
        runtime.leases.hold_for_run(batch)
    if taken.reason:
        run_logger().warning("%s", taken.reason)
    # A batch that another run holds must not be ended by this run.
    return Batch(asked.type, new_id() if taken.refused else batch, taken.notifications)


async def _whatever_is_due(runtime: Runtime, type: NotificationType) -> UUID | None:
    for priority in Priority:
        claim = await claims.reserve(runtime.ledger, type.name, priority, type.batch_size)
        if claim is not None:
            return claim.id
    return None


def _keyed(requests: Sequence[Request[Any]]) -> list[Request[Any]]:
    """Requests without an idempotency key get one from their run, so that a run retried in the Prefect
    UI sends nothing again."""
    run = current_flow_run()
    return [
        request
        if request.idempotency_key or run is None
        else request.model_copy(update={"idempotency_key": f"run {run} request {index}"})
        for index, request in enumerate(requests)
    ]


def _tell(receipts: Sequence[Receipt | ItemFailed]) -> None:
    """Log the requests that were not newly accepted, a line per kind."""
    told: dict[str, list[str]] = {}
    for index, receipt in enumerate(receipts):
        if isinstance(receipt, ItemFailed):
            told.setdefault("not accepted", []).append(f"requests[{index}]: {receipt}")
        elif receipt.outcome is not IntakeResult.ACCEPTED:
            told.setdefault(receipt.outcome, []).append(f"requests[{index}] is {receipt.id}")
    for outcome, which in told.items():
        more = f" and {len(which) - 10} more" if len(which) > 10 else ""
        run_logger().warning("%d %s: %s%s", len(which), outcome, "; ".join(which[:10]), more)
