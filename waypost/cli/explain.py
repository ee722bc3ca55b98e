"""`waypost explain ID`: the whole story of one notification."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from waypost import place
from waypost.cli.console import AsJson, columns, err, out, plain, print_json
from waypost.cli.stopped import stopped_lanes, waits_for_a_run
from waypost.ledger import checked
from waypost.ledger.readable import Moment
from waypost.ledger.timeline import Explanation, Happening
from waypost.ledger.timeline import explain as read
from waypost.settings import Settings


def explain(
    id: Annotated[UUID, typer.Argument(help="A notification's id.")], as_json: AsJson = False
) -> None:
    """Tell all that happened to a notification, in order, and what it waits for or how it ended. Lines
    that were part of a Prefect run say where to see it."""
    settings = Settings()
    found = asyncio.run(_read(settings, id))
    if found is None:
        err.print(f"[red]there is no notification {id} in this ledger")
        raise typer.Exit(1)
    ui = place.ui(settings)
    waits = waits_for_a_run(found.state, found.due_at)
    stopped = stopped_lanes(settings).get(found.priority, "") if waits else ""
    if as_json:
        told = {"stopped": stopped, "timeline": [_line(one, ui) for one in found.timeline]}
        print_json({**_fields(found), **told})
    else:
        _tell(found, ui, stopped)


async def _read(settings: Settings, id: UUID) -> Explanation | None:
    async with checked(settings) as ledger:
        return await read(ledger, id)


def _fields(found: Explanation) -> dict[str, object]:
    return {name: getattr(found, name) for name in Explanation.__dataclass_fields__}


def _line(one: Happening, ui: str | None) -> dict[str, object]:
    return {
        "at": one.at,
        "what": one.what,
        "detail": one.detail,
        "batch": one.batch,
        "run": one.run,
        "url": _url(one, ui),
    }


def _url(one: Happening, ui: str | None) -> str | None:
    """Where the Prefect UI shows the run."""
    return f"{ui}/runs/flow-run/{one.run}" if ui and isinstance(one.run, UUID) else None


def _tell(found: Explanation, ui: str | None, stopped: str) -> None:
    facts: list[tuple[str, object]] = [
        ("id", found.id),
        ("type", f"{found.type}  ({found.priority})"),
        ("recipient", found.recipient),
        ("state", f"{found.state}  {found.reason}"),
        ("deadline", f"{plain(found.expires_at)} UTC"),
    ]
    if found.count != 1:
        facts.append(("count", f"{found.count} requests in one"))
    if found.digest_id:
        facts.append(("digest", found.digest_id))
    if found.held_since:
        facts.append(("held", f"its type, since {plain(found.held_since)} UTC: {found.held_because or '-'}"))
    if stopped:
        facts.append(("waits", stopped))
    for name, value in facts:
        out.print(f"[bold]{name:<10}[/] {escape(plain(value))}", soft_wrap=True)
    out.print()
    head = ("when (UTC)", "what", "")
    columns([head, *((_when(one.at), one.what, _told(one, ui)) for one in found.timeline)])


def _when(at: Moment | None) -> str:
    """By the millisecond: most of it happens within one second."""
    if at is None:
        return "now"
    return at if isinstance(at, str) else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"


def _told(one: Happening, ui: str | None) -> str:
    """Its detail, and for what a run did as a whole, where to see that run."""
    if one.run is None or one.what.startswith("attempt"):
        return one.detail
    return "; ".join(part for part in (one.detail, _url(one, ui) or f"run {one.run}") if part)
