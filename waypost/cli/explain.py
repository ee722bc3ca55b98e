"""`waypost explain ID`: the whole story of one notification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from rich.cells import cell_len
from rich.text import Text

from waypost.cli.asking import Refused
from waypost.cli.ids import given_id
from waypost.cli.output import AsJson, Reveal, out, plain, print_json, wrapped
from waypost.cli.paused_lanes import stopped_lanes, waits_for_a_run
from waypost.cli.states import style_of
from waypost.cli.unknown_type import OVERDUE, unknown_type
from waypost.cli.with_ledger import with_ledger
from waypost.config import instance
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.database.tolerant import Moment
from waypost.ledger.operations.explanation import Explanation, TimelineEntry
from waypost.ledger.operations.short_ids import ShortId, notification_id, short
from waypost.ledger.operations.stats import with_state
from waypost.ledger.operations.timeline import explain as read
from waypost.ledger.operations.timeline_folding import folded
from waypost.model.brand import DEFAULT
from waypost.model.states import State

_SENT_AGAIN = (State.FAILED, State.EXPIRED)
BESIDE = 40  # columns; where fewer are left beside time and event, details stand below them


def explain(
    id: Annotated[
        ShortId,
        typer.Argument(
            parser=given_id,
            metavar="ID",
            help="Id of the notification: in full, or as `waypost list` shows it.",
        ),
    ],
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Show the history of a notification.

    It ends with the outcome, or with what the notification waits for. Lines that were part of a Prefect run
    have its address. Attempts in a row with the same answer are one line; --json has each of them. Addresses
    of recipients are masked unless you add --reveal.
    """
    settings = Settings()

    async def look(ledger: Ledger) -> Explanation | None:
        return await read(ledger, await notification_id(ledger, id), reveal)

    found = with_ledger(look, settings)
    if found is None:
        raise Refused(f"there is no notification {id.whole} in this ledger")
    ui = instance.ui(settings)
    waits = waits_for_a_run(found.state, found.due_at)
    stopped = stopped_lanes(settings).get(found.priority, "") if waits else ""
    stopped = stopped or _unknown(settings, found)
    if as_json:
        told = {"stopped": stopped, "timeline": [_line(one, ui) for one in found.timeline]}
        print_json({**_fields(found), **told})
    else:
        _tell(found, ui, stopped)


def _unknown(settings: Settings, found: Explanation) -> str:
    """Why no worker takes up a notification that has waited too long, if none knows its type."""
    overdue = waits_for_a_run(found.state, found.due_at, OVERDUE) and found.state == State.ACCEPTED
    return unknown_type(settings, found.type) if overdue and not found.held_since else ""


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
        *([("brand", found.brand)] if found.brand != DEFAULT else []),
        ("state", with_state(found.state, found.reason or found.forgotten)),
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
    if found.state in _SENT_AGAIN and not found.forgotten and not found.digest_id:
        facts.append(("next", f"correct the cause, then `waypost retry {short(found.id)}` sends it again"))
    for name, value in facts:
        style = style_of(found.state) if name == "state" else ""
        text = Text(wrapped(plain(value), indent=11), style)
        out.print(Text.assemble((f"{name:<10}", "bold"), " ", text), soft_wrap=True)
    out.print()
    lines = folded(found.timeline)
    _tell_timeline([(_when(one.at), plain(one.what), plain(_told(one, ui))) for one in lines])


def _tell_timeline(rows: Sequence[tuple[str, str, str]]) -> None:
    """A line for each event. On a narrow terminal its details stand below it."""
    when = max(len(at) for at, _, _ in rows)
    widest = max(cell_len(what) for _, what, _ in rows)
    begins = when + widest + 4
    below = out.is_terminal and out.width - begins < BESIDE
    out.print(Text(f"{'when (UTC)':<{when}}  what", "bold"), soft_wrap=True)
    for at, what, told in rows:
        line = Text.assemble((at.ljust(when), "dim"), "  ", (what, style_of(what)))
        if told and below:
            line.append(f"\n    {wrapped(told, 4)}")
        elif told:
            line.append(" " * (widest - cell_len(what) + 2) + wrapped(told, begins))
        out.print(line, soft_wrap=True)


def _when(at: Moment | None) -> str:
    """To the millisecond: most events happen within one second."""
    if at is None:
        return "now"
    return at if isinstance(at, str) else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"


def _told(one: TimelineEntry, ui: str | None) -> str:
    """The entry's detail, and for an event of a whole run, where to see that run."""
    if one.run is None or one.what.startswith("attempt "):
        return one.detail
    return "; ".join(part for part in (one.detail, _url(one, ui) or f"run {one.run}") if part)
