"""`waypost list`: notifications by what they have in common, the newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer

from waypost.cli import filters
from waypost.cli.columns import Column, print_columns
from waypost.cli.ids import given_id, shown_id
from waypost.cli.output import AsJson, Reveal, complain, err, print_json
from waypost.cli.paused_lanes import stopped_lanes, waits_for_a_run
from waypost.cli.states import style_of, without_state
from waypost.cli.with_ledger import with_ledger
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.operations.search import Entry, Filter, Page, find
from waypost.ledger.operations.short_ids import ShortId, notification_id
from waypost.ledger.operations.stats import on_the_wire_of_silent
from waypost.model.brand import DEFAULT
from waypost.model.states import State

WAITS_LONG = timedelta(seconds=10)  # so that a list of what is just going out stays quick

# By title: how a column is shown, and its cell.
_COLUMNS: tuple[tuple[Column, Callable[[Entry], object]], ...] = (
    (Column("id"), lambda one: shown_id(one.id)),
    (Column("type", rank=3, cut=True, least=12), lambda one: one.type),
    (Column("client", rank=4, cut=True), lambda one: one.client or "-"),
    (Column("brand", rank=4, cut=True), lambda one: one.brand),
    (Column("state", style=style_of), lambda one: one.state),
    (Column("recipient", cut=True, least=9), lambda one: one.recipient),
    (Column("attempts", rank=5, right=True), lambda one: one.attempts),
    (Column("provider", rank=6, cut=True), lambda one: one.provider or "-"),
    (Column("due or ended (UTC)", rank=2), lambda one: one.finished_at or one.due_at or "-"),
    (
        Column("reason", rank=1, cut=True, least=17),
        lambda one: without_state(one.state, with_reason(one).reason),
    ),
)


def list_notifications(
    state: filters.States = None,
    type: filters.Type = None,
    recipient: filters.Recipient = None,
    tag: filters.Tag = None,
    brand: filters.Brand = None,
    provider: filters.Provider = None,
    since: filters.Since = None,
    until: filters.Until = None,
    reason: filters.Reason = None,
    in_doubt: Annotated[
        bool,
        typer.Option(
            "--in-doubt",
            help="Only notifications that may have been delivered twice, or are held because they may not "
            "have been delivered at all.",
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Most notifications to list.")
    ] = 50,
    after: Annotated[
        ShortId | None,
        typer.Option(parser=given_id, metavar="ID", help="Start after this notification, for the next page."),
    ] = None,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """List notifications, the newest first.

    Addresses are masked unless you add --reveal. Times are UTC. On a terminal the table is fitted to the
    width, and ids are short. Every command takes short ids. In a pipe or a file, every column is complete.
    """
    wanted = filters.chosen(state, type, provider, since, until, reason, recipient, tag, in_doubt, brand)
    settings = Settings()
    page, unsettled = with_ledger(lambda ledger: _find(ledger, wanted, after, limit, reveal), settings)
    if not page.notifications:
        filters.nothing_found(wanted)
    if as_json:
        print_json(replace(page, notifications=[with_reason(one) for one in page.notifications]))
    elif page.notifications:
        _tell(page)
    if any(one.in_doubt for one in page.notifications) and not as_json:
        err.print("`waypost explain ID` shows the attempt that is in doubt", soft_wrap=True)
    if unsettled:
        err.print(
            f"{unsettled} more may be in doubt: a process that sends no heartbeat was sending them. They are "
            "listed once a worker reclaims them, after the lease; `waypost doctor` names the process",
            soft_wrap=True,
        )
    if any(waits_for_a_run(one.state, one.due_at, WAITS_LONG) for one in page.notifications):
        for why in dict.fromkeys(stopped_lanes(settings).values()):
            complain(f"nothing is sent: {why}")


async def _find(
    ledger: Ledger, wanted: Filter, after: ShortId | None, limit: int, reveal: bool
) -> tuple[Page, int]:
    """The page, and how many notifications more will be in doubt, where that is asked."""
    last = None if after is None else await notification_id(ledger, after)
    page = await find(ledger, await filters.with_clients(ledger, wanted), last, limit, reveal)
    asked = wanted == Filter(in_doubt=True)
    return page, await on_the_wire_of_silent(ledger) if asked else 0


def _tell(page: Page) -> None:
    left_out = {
        "client": not any(one.client for one in page.notifications),
        "brand": all(one.brand == DEFAULT for one in page.notifications),
    }
    shown = [(column, cell) for column, cell in _COLUMNS if not left_out.get(column.title)]
    print_columns(
        [column for column, _ in shown], [[cell(one) for _, cell in shown] for one in page.notifications]
    )
    if page.next:
        err.print(f"There are more: add --after {shown_id(page.next)}", soft_wrap=True)


def with_reason(one: Entry) -> Entry:
    """The entry with a reason, if it is in doubt."""
    return replace(one, reason=_doubt(one)) if one.in_doubt and not one.reason else one


def _doubt(one: Entry) -> str:
    if one.state == State.SENT:
        return "maybe sent twice"
    return "may have arrived before"
