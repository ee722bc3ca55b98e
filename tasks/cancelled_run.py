"""What becomes of a run that a person cancels in Prefect, and what the run's page says of it."""

from __future__ import annotations

from collections import Counter
from copy import copy
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any
from uuid import UUID

from prefect import Flow, State
from prefect.states import Cancelled

from waypost import Report
from waypost.config.settings import CancelledRuns
from waypost.delivery.runtime import Runtime
from waypost.ledger import Ledger
from waypost.ledger.operations.search import Entry, Filter, find
from waypost.ledger.queue.cancelled_runs import COUNTED_AT_ONCE, counted_by_state, hold_unsent, open_batches
from waypost.ledger.queue.return_claims import return_batches
from waypost.model.states import State as Where
from waypost.tasks.cancellation import Cancellation, Code, stoppable
from waypost.tasks.run_context import run_logger
from waypost.tasks.run_table import ORDER, ROWS_SHOWN, rows_of_entries, show

HELD = "What is held waits for a person: Retry of this run sends it, or `waypost retry ID`."
TOO_LATE = "the cancellation came too late to stop this"
FREED = "What was not sent goes out with another run."


def cancellable_flow(flow: Flow[..., Any]) -> Flow[..., Any]:
    """`flow`, which ends in the state Cancelled, with an account of its notifications, when a person cancels
    its run."""
    if not iscoroutinefunction(flow.fn):
        return flow
    made = copy(flow)
    made.fn = stoppable(_noted(flow.fn), _end_state)
    return made


def _noted(code: Code) -> Code:
    """`code`, whose state is kept: Prefect takes no other state than Cancelled from a run in Cancelling."""

    @wraps(code)
    async def run(*arguments: Any, **named: Any) -> Any:
        found = await code(*arguments, **named)
        current = Cancellation.current()
        if current is not None and isinstance(found, State):
            current.returned = found
        return found

    return run


def late_end(cancelled: Cancellation) -> State[Any] | None:
    """The state of a run that came to its end although a person was cancelling it; None if it did not."""
    found = cancelled.returned
    if found is None or found.is_cancelled():
        return None
    return State(type=found.type, name=found.name, message=f"{found.message}; {TOO_LATE}")


async def _end_state(cancelled: Cancellation) -> State[Any]:
    """The state of the cancelled run, once what was not sent is held. Shows the run's table."""
    cancelled.accounted = True
    message, states = await _stop_and_count(cancelled)
    run_logger().warning("%s", message)
    if cancelled.type is not None and cancelled.batch is not None:
        made = Report.of(cancelled.type.name, cancelled.batch, states.elements(), note=message)
        await show(made, rows_of_entries(await _worst(cancelled, states)))
    return Cancelled(message=message)


async def stop_unsent(cancelled: Cancellation) -> str:
    """Hold for a person what the cancelled run has not sent, or let it go out with another run, as
    WAYPOST_CANCELLED_RUNS says. Returns what became of the run's notifications. Safe to repeat. Call it when
    no code of the run sends any more."""
    return (await _stop_and_count(cancelled))[0]


async def _stop_and_count(cancelled: Cancellation) -> tuple[str, Counter[Where]]:
    """As `stop_unsent`, and how many of the run's notifications are in each state then."""
    runtime = await Runtime.current()
    its = await _batches(runtime.ledger, cancelled)
    if not its:
        return "Cancelled before anything was taken up.", Counter()
    if runtime.settings.cancelled_runs is CancelledRuns.HOLD:
        for batch in its:
            await hold_unsent(runtime.ledger, batch, cancelled.ids)
        rest = HELD
    else:
        await return_batches(runtime.ledger, its)
        rest = FREED
    states = await counted_by_state(runtime.ledger, cancelled.ids)
    if not cancelled.ids:
        return f"Cancelled before anything was sent. {rest}", states
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"Cancelled: {told}." + (f" {rest}" if states.total() > states[Where.SENT] else ""), states


async def _batches(ledger: Ledger, cancelled: Cancellation) -> list[UUID]:
    """The batches of the run. A write of lookup commits even when its code is interrupted before it has the
    answer, so the ledger is asked too."""
    found = await open_batches(ledger, cancelled.run) if cancelled.run else []
    if cancelled.batch is None and found:
        cancelled.batch = found[0]
    return sorted({*found, *([cancelled.batch] if cancelled.batch else [])})


async def _worst(cancelled: Cancellation, states: Counter[Where]) -> list[Entry]:
    """The run's notifications for its table, the worst states first. states: those that it has."""
    ledger, found = (await Runtime.current()).ledger, list[Entry]()
    for state in filter(states.__contains__, ORDER):
        for start in range(0, len(cancelled.ids), COUNTED_AT_ONCE):
            if room := ROWS_SHOWN - len(found):
                ids = tuple(cancelled.ids[start : start + COUNTED_AT_ONCE])
                page = await find(ledger, Filter(ids=ids, states=(state,)), limit=room)
                found += page.notifications
    return found
