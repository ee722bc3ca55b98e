"""Lookup: accept what the run was given, then take what is this run's to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from uuid_utils.compat import uuid7

from tasks.runs import current_flow_run
from waypost import Batch, NotificationType, Request
from waypost.ledger import claims, intake
from waypost.notification import Answer, Notification, Receipt
from waypost.runtime import Runtime


async def lookup(
    type: NotificationType, requests: Sequence[Request[Any]] = (), batch: UUID | None = None
) -> Batch[Notification]:
    """The notifications of this run, with recipient, locale and addresses.

    With `requests`: those, accepted first. With `batch`: those accepted under it earlier. With
    neither: whatever of the type is due and in nobody's hands.
    """
    return await _lookup(Batch(type, batch or uuid7(), list(requests)), batch is not None)


@task(name="lookup", cache_policy=NO_CACHE)
async def _lookup(asked: Batch[Request[Any]], reserved: bool) -> Batch[Notification]:
    runtime = await Runtime.current()
    ledger, settings = runtime.ledger, runtime.settings
    batch = asked.id
    if asked.items:
        receipts = await intake.accept(ledger, asked.type, _keyed(asked.items), batch)
        _tell(receipts)
    elif not reserved:
        batch, _ = await claims.reserve(ledger, asked.type.name)
    taken = await claims.claim(
        ledger,
        asked.type.name,
        batch,
        default_locale=settings.default_locale,
        default_timezone=settings.default_timezone,
    )
    return Batch(asked.type, batch, taken)


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


def _tell(receipts: Sequence[Receipt]) -> None:
    """Say in the run's log what was not accepted anew, a line per kind."""
    told: dict[str, list[str]] = {}
    for index, receipt in enumerate(receipts):
        if receipt.outcome is not Answer.ACCEPTED:
            told.setdefault(receipt.outcome, []).append(f"requests[{index}] is {receipt.id}")
    for outcome, which in told.items():
        more = f" and {len(which) - 10} more" if len(which) > 10 else ""
        get_run_logger().warning("%d %s: %s%s", len(which), outcome, "; ".join(which[:10]), more)
