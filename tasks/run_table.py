"""The table of a run in the Prefect UI: a row for each notification, and a summary above."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import httpx
from prefect.artifacts import acreate_table_artifact
from prefect.exceptions import PrefectException

from waypost import Batch, Report
from waypost.ledger.operations.search import Entry
from waypost.ledger.operations.short_ids import short
from waypost.ledger.operations.stats import shown
from waypost.mail.masking import mask_in
from waypost.model.batch import Ended
from waypost.model.notification import Delivery
from waypost.model.outcome import Verdict
from waypost.model.states import State
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.plurals import counted
from waypost.tasks.markdown import as_code
from waypost.tasks.run_context import run_logger
from waypost.tasks.run_table_cells import moment, run_links

ROWS_SHOWN = 100  # the worst first; the ledger has all
RUNS_LINKED = 10
NEXT_TRY = "Next try (UTC)"
SHOWN_WITHIN = 3.0  # seconds; a run waits no longer for Prefect to take its table
NOT_SHOWN = (httpx.HTTPError, PrefectException, TimeoutError)
# What may need a person is first.
ORDER = (
    State.FAILED, State.EXPIRED, State.HELD, State.DEFERRED, State.SUPPRESSED, State.CANCELLED, State.SENDING,
    State.CLAIMED, State.ACCEPTED, State.SENT,
)  # fmt: skip

Row = dict[str, str]


async def show(report: Report, rows: Sequence[Row]) -> None:
    """Show the outcomes in Prefect."""
    await show_table(report.type, _without_empty_next_try(rows), summary(report), item=report.batch)


async def show_table(key: str, rows: Sequence[Row], description: str, item: object = None) -> None:
    """Show a table in Prefect. A table that Prefect does not take fails nothing: the ledger has all."""
    try:
        with isolated("showing a table", *NOT_SHOWN, item=item):
            async with asyncio.timeout(SHOWN_WITHIN):
                await acreate_table_artifact(key=key, table=list(rows), description=description)
    except NOT_SHOWN as error:
        run_logger().warning("no table of outcomes: Prefect refused it (%s)", type(error).__name__)
    except ItemFailed as failed:
        run_logger().warning("no table of outcomes: %s", failed)


def rows_of(outcomes: Batch[Delivery]) -> list[Row]:
    """The worst rows of a run that accounted for all its notifications."""
    worst = sorted((*outcomes.taken_up.ended, *outcomes), key=lambda one: _how_bad(one.state))[:ROWS_SHOWN]
    return [_row_of_ended(one) if isinstance(one, Ended) else _row_of_delivery(one) for one in worst]


def rows_of_entries(entries: Sequence[Entry]) -> list[Row]:
    """The rows of a run that was cut short: what the ledger says of its notifications."""
    return [
        _row(
            one.state,
            one.recipient,
            one.id,
            attempt=one.attempts,
            next_try=moment(one.due_at) if one.state == State.DEFERRED else "",
            provider=one.provider,
            detail=one.reason,
        )
        for one in entries
    ]


def _without_empty_next_try(rows: Sequence[Row]) -> Sequence[Row]:
    """Most runs defer nothing: the room is the detail's then."""
    if any(row[NEXT_TRY] for row in rows):
        return rows
    return [{title: cell for title, cell in row.items() if title != NEXT_TRY} for row in rows]


def _how_bad(state: State) -> int:
    return ORDER.index(state) if state in ORDER else 0


def _row_of_ended(one: Ended) -> Row:
    recipient = _cell(one.id, lambda: shown(one.key, one.email, one.phone))
    return _row(one.state, recipient, one.id, next_try=moment(one.due) if one.due else "", detail=one.reason)


def _row_of_delivery(delivery: Delivery) -> Row:
    notification, person = delivery.notification, delivery.notification.recipient
    return _row(
        delivery.state,
        _cell(notification.id, lambda: shown(person.key, person.email, person.phone)),
        notification.id,
        attempt=max(delivery.attempt, notification.tries) or "",
        next_try=moment(delivery.due) if delivery.state is State.DEFERRED else "",
        provider=delivery.provider,
        detail=_cell(notification.id, lambda: mask_in(detail_of(delivery))),
    )


def detail_of(delivery: Delivery) -> str:
    """Why a notification stands where it stands: the refusals of earlier steps, then the last answer."""
    last = without_verdict(delivery.reason) or (delivery.outcome.said if delivery.outcome else "")
    refused = "; ".join(delivery.rejections)
    if delivery.state is State.SENT and refused:
        return f"{refused}; then sent through {delivery.provider}" + (f": {last}" if last else "")
    return f"{refused}; {last}" if refused and refused not in last else last


def without_verdict(reason: str) -> str:
    """A provider's answer as a reason, without the word that the state beside it says already."""
    for verdict in (Verdict.REFUSED, Verdict.DEFERRED):
        reason = reason.removeprefix(f"{verdict}: ")
    return reason


def _cell(id: UUID | None, text: Callable[[], str]) -> str:
    """`text`, or why it cannot be shown: a value of one notification must not cost the table."""
    try:
        with isolated("showing an outcome", item=id):
            return text()
    except ItemFailed as failed:
        return str(failed)


def _row(
    state: str,
    recipient: str,
    id: object,
    *,
    attempt: object = "",
    next_try: str = "",
    provider: str = "",
    detail: str = "",
) -> Row:
    return {
        "State": str(state),
        "Recipient": as_code(recipient),
        "Notification": short(id) if id else "",
        "Attempt": str(attempt),
        NEXT_TRY: next_try,
        "Provider": provider,
        "Detail": as_code(detail),
        "Full id": str(id or ""),
    }


def summary(report: Report) -> str:
    """The text above the table."""
    lines = [f"**{report.type}**: {report}", "", "| State | Notifications |", "| --- | ---: |"]
    lines += [f"| {state} | {count} |" for state, count in sorted(report.states.items())]
    lines += [f"| **total** | **{report.total}** |"]
    for note in _notes(report):
        lines += ["", note]
    return "\n".join(lines)


def _notes(report: Report) -> Iterator[str]:
    if report.next_try:
        yield f"Next try: {moment(report.next_try)} UTC."
    if report.before:
        yield f"Deferred before by {run_links(report.before[:RUNS_LINKED])}."
    if report.again:
        yield f"{report.again} of those sent may have arrived twice: `waypost list --in-doubt` lists them."
    if report.refused:
        refused = counted(report.refused, "request was", "requests were")
        yield f"{refused} not accepted: the log of lookup names the reasons."
    if report.note:
        yield as_code(report.note)
    if report.total > ROWS_SHOWN:
        yield f"The first {ROWS_SHOWN} of {report.total} are shown; `waypost list` shows all."
    if report.total:
        yield "`waypost explain` with an id of the column Notification shows its history."
