"""`waypost list`: notifications by what they have in common, the newest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from waypost.cli import filters
from waypost.cli.output import AsJson, columns, err, print_json
from waypost.cli.paused_lanes import stopped_lanes, waits_for_a_run
from waypost.cli.with_ledger import with_ledger
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.operations.search import Entry, Filter, Page, find
from waypost.ledger.operations.stats import on_the_wire_of_silent

WAITS_LONG = timedelta(seconds=10)  # so that a list of what is just going out stays quick


def list_notifications(
    state: filters.States = None,
    type: filters.Type = None,
    provider: filters.Provider = None,
    since: filters.Since = None,
    until: filters.Until = None,
    reason: filters.Reason = None,
    in_doubt: Annotated[
        bool, typer.Option("--in-doubt", help="Only notifications that may have arrived twice or not at all.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most notifications to list.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Start after this id, for the next page.")] = None,
    as_json: AsJson = False,
) -> None:
    """List notifications, the newest first. Addresses are masked, times are UTC."""
    wanted = filters.chosen(state, type, provider, since, until, reason, in_doubt)
    settings = Settings()
    page, unsettled = with_ledger(lambda ledger: _find(ledger, wanted, after, limit), settings)
    if not page.notifications:
        filters.nothing_found(wanted)
    if as_json:
        print_json(page)
    elif page.notifications:
        _tell(page)
    if unsettled:
        err.print(
            f"{unsettled} more may be in doubt: on the wire of a process that sends no heartbeat. They "
            "are listed once a worker takes them back, after the lease; `waypost doctor` names the process",
            soft_wrap=True,
        )
    if any(waits_for_a_run(one.state, one.due_at, WAITS_LONG) for one in page.notifications):
        for why in dict.fromkeys(stopped_lanes(settings).values()):
            err.print(f"[red]stopped:[/] {escape(why)}", soft_wrap=True)


async def _find(ledger: Ledger, wanted: Filter, after: UUID | None, limit: int) -> tuple[Page, int]:
    """The page, and how many notifications more will be in doubt, where that is asked."""
    page = await find(ledger, wanted, after, limit)
    asked = wanted == Filter(in_doubt=True)
    return page, await on_the_wire_of_silent(ledger) if asked else 0


def _tell(page: Page) -> None:
    clients = any(one.client for one in page.notifications)
    whose = ("client",) if clients else ()
    head = (
        "id",
        "type",
        *whose,
        "state",
        "recipient",
        "attempts",
        "provider",
        "due or ended (UTC)",
        "reason",
    )
    columns([head, *(_row(one, clients) for one in page.notifications)])
    if page.next:
        err.print(f"there are more: the same with --after {page.next}", soft_wrap=True)


def _row(one: Entry, clients: bool) -> tuple[object, ...]:
    when = one.finished_at or one.due_at
    return (
        one.id,
        one.type,
        *([one.client or "-"] if clients else []),
        one.state,
        one.recipient,
        one.attempts,
        one.provider or "-",
        "-" if when is None else when,
        one.reason or _doubt(one),
    )


def _doubt(one: Entry) -> str:
    """What was sent again because nobody knows whether it had arrived."""
    return "perhaps more than once: see `waypost explain`" if one.in_doubt and one.state == "sent" else ""
