"""`waypost list`: notifications that match a filter, the newest first."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from waypost.cli import filters
from waypost.cli.output import AsJson, columns, err, print_json
from waypost.cli.paused_lanes import stopped_lanes, waits_for_a_run
from waypost.config.settings import Settings
from waypost.ledger import connect_checked
from waypost.ledger.operations.search import Entry, Filter, Page, find
from waypost.ledger.operations.stats import on_the_wire_of
from waypost.system.clock import now

WAITS_LONG = timedelta(seconds=10)  # shorter waits are not checked, so that lists stay quick


def list_notifications(
    state: filters.States = None,
    type: filters.Type = None,
    provider: filters.Provider = None,
    since: filters.Since = None,
    until: filters.Until = None,
    reason: filters.Reason = None,
    in_doubt: Annotated[
        bool, typer.Option("--in-doubt", help="It may have arrived more than once, or not at all.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on after this id: the next page.")] = None,
    as_json: AsJson = False,
) -> None:
    """List notifications, the newest first. Addresses are masked, times are UTC."""
    wanted = filters.chosen(state, type, provider, since, until, reason, in_doubt)
    settings = Settings()
    page, unsettled = asyncio.run(_find(settings, wanted, after, limit))
    if not page.notifications:
        filters.nothing_found(wanted)
    if as_json:
        print_json(page)
    elif page.notifications:
        _tell(page)
    if unsettled:
        err.print(
            f"{unsettled} more may be in doubt: on the wire of a process that gives no sign of life. They "
            "are listed once a worker takes them back, after the lease; `waypost doctor` names the process",
            soft_wrap=True,
        )
    if any(waits_for_a_run(one.state, one.due_at, WAITS_LONG) for one in page.notifications):
        for why in dict.fromkeys(stopped_lanes(settings).values()):
            err.print(f"[red]stopped:[/] {escape(why)}", soft_wrap=True)


async def _find(settings: Settings, wanted: Filter, after: UUID | None, limit: int) -> tuple[Page, int]:
    """The page. If only notifications in doubt are wanted, also how many more will be in doubt."""
    async with connect_checked(settings) as ledger:
        page = await find(ledger, wanted, after, limit)
        asked = wanted == Filter(in_doubt=True)
        return page, await on_the_wire_of(ledger, now() + ledger.lease / 2) if asked else 0


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
    """A note for a sent notification that may have arrived twice."""
    return "perhaps more than once: see `waypost explain`" if one.in_doubt and one.state == "sent" else ""
