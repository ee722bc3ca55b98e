"""`waypost explain ID`: the whole story of one notification."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from waypost.cli.output import AsJson, columns, err, out, plain, print_json
from waypost.cli.paused_lanes import stopped_lanes, waits_for_a_run
from waypost.cli.with_ledger import with_ledger
from waypost.config import instance
from waypost.config.settings import Settings
from waypost.ledger.database.tolerant import Moment
from waypost.ledger.operations.explanation import Explanation, TimelineEntry
from waypost.ledger.operations.timeline import explain as read


def explain(
    id: Annotated[UUID, typer.Argument(help="Id of the notification.")], as_json: AsJson = False
) -> None:
    """Show the history of a notification, and what it waits for or how it ended.

    Lines that were part of a Prefect run have its address."""
    settings = Settings()
    found = with_ledger(lambda ledger: read(ledger, id), settings)
    if found is None:
        err.print(f"[red]there is no notification {id} in this ledger")
        raise typer.Exit(1)
    ui = instance.ui(settings)
    waits = waits_for_a_run(found.state, found.due_at)
    stopped = stopped_lanes(settings).get(found.priority, "") if waits else ""
    if as_json:
        told = {"stopped": stopped, "timeline": [_line(one, ui) for one in found.timeline]}
        print_json({**_fields(found), **told})
    else:
        _tell(found, ui, stopped)


def _fields(found: Explanation) -> dict[str, object]:
    return {name: getattr(found, name) for name in Explanation.__dataclass_fields__}


def _line(one: TimelineEntry, ui: str | None) -> dict[str, object]:
    return {
        "at": one.at,
        "what": one.what,
        "detail": one.detail,
        "batch": one.batch,
        "run": one.run,
        "url": _url(one, ui),
    }


def _url(one: TimelineEntry, ui: str | None) -> str | None:
    """Where the Prefect UI shows the run."""
    return f"{ui}/runs/flow-run/{one.run}" if ui and isinstance(one.run, UUID) else None


def _tell(found: Explanation, ui: str | None, stopped: str) -> None:
    facts: list[tuple[str, object]] = [
        ("id", found.id),
        ("type", f"{found.type}  ({found.priority})"),
        ("recipient", found.recipient),
        *([("client", found.client)] if found.client else []),
        ("state", _state(found)),
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


def _state(found: Explanation) -> str:
    """The state and the reason; only the reason if it names the state: cancelled by a person."""
    why = found.reason or found.forgotten
    return why if why.startswith(found.state) else f"{found.state}  {why}"


def _when(at: Moment | None) -> str:
    """To the millisecond: most events happen within one second."""
    if at is None:
        return "now"
    return at if isinstance(at, str) else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"


def _told(one: TimelineEntry, ui: str | None) -> str:
    """The entry's detail, and for an event of a whole run, where to see that run."""
    if one.run is None or one.what.startswith("attempt"):
        return one.detail
    return "; ".join(part for part in (one.detail, _url(one, ui) or f"run {one.run}") if part)
