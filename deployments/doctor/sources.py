"""The check of the reminders' sources: each is read as its type reads it, for today, its first rows only."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.registry import registered
from waypost.model.notification_type import NotificationType
from waypost.model.source import Source
from waypost.sources.reading import rows_of
from waypost.sources.requests import NotDue, Rejected, Requests
from waypost.sources.rows import Row, SourceFailed
from waypost.sources.today import today
from waypost.system.plurals import counted

WITHIN = 10.0  # seconds for all sources together, which are read at once
WHAT = "sources"


async def source_findings(settings: Settings) -> list[Finding]:
    """A finding for each source of WAYPOST_SOURCES; none without a source."""
    return await asyncio.gather(
        *(_finding(settings, name, source) for name, source in settings.sources.items())
    )


async def _finding(settings: Settings, name: str, source: Source) -> Finding:
    """What the first rows of a source are worth. It is only read, and nothing is accepted."""
    known = registered().get(name)
    if known is None or not known.type.asks_source:
        why = "there is no such type" if known is None else "its type does not ask a source"
        return _bad(name, why, "name a type with asks_source, or remove it from WAYPOST_SOURCES")
    try:
        async with asyncio.timeout(WITHIN + 1):
            rows = await _first_rows(settings, known.type, source)
    except SourceFailed as failed:
        return _bad(name, f"the source failed: {failed}", _advice(name))
    except TimeoutError:
        return _bad(name, f"the source sent nothing within {WITHIN:.0f} seconds", _advice(name))
    return _of_rows(settings, known.type, rows)


async def _first_rows(settings: Settings, type: NotificationType, source: Source) -> list[Row]:
    """The first rows, at most AT_ONCE; none if nobody is due. Raises SourceFailed."""
    needed = [name for name, field in type.facts.model_fields.items() if field.is_required()]
    parts = rows_of(source, today(settings), settings.project, needed=needed, within=WITHIN)
    async with aclosing(parts):
        return await anext(parts, [])


def _of_rows(settings: Settings, type: NotificationType, rows: list[Row]) -> Finding:
    requests, rejected = Requests(type, today(settings)), list[str]()
    for row in rows:
        try:
            requests.of(row)
        except NotDue:
            continue
        except Rejected as wrong:
            rejected.append(f"{row.place}: {wrong}")
    looked = f"read, {counted(len(rows), 'row')} looked at" if rows else "read, no rows today"
    if not rejected:
        return Finding(WHAT, ok=True, found=f"{type.name}: {looked}")
    told = f"{len(rejected)} of {counted(len(rows), 'row')} looked at cannot be used: {rejected[0]}"
    return _bad(type.name, told, _advice(type.name))


def _advice(name: str) -> str:
    return f"correct the source, then look at all its rows with `waypost remind {name} --preview`"


def _bad(name: str, why: str, advice: str) -> Finding:
    return Finding(WHAT, ok=False, found=f"{name}: {why}", advice=advice)
