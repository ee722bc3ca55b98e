"""Turns: periodic work that one process at a time does for all processes on a ledger.

The process keeps its turn while it asks again in time. It also keeps a note there, which the next process
gets: what it has told already.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import do_nothing, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import installation
from waypost.system.clock import now

Note = Mapping[str, Any]


async def take(ledger: Ledger, work: str, process: str, lasts: timedelta) -> Note | None:
    """Take or keep the turn for `work`, for the time `lasts`. Returns the note of the last process that had
    it; None while another process has the turn."""

    def ask(connection: sa.Connection) -> Note | None:
        insert_many(connection, installation, [{"name": _name(work), "value": "{}"}], on_conflict=do_nothing)
        kept = tolerant.object(connection.scalar(_row(work)))
        until = tolerant.moment(kept.get("until"))
        if kept.get("process") != process and isinstance(until, datetime) and until > now():
            return None
        note = tolerant.object(kept.get("note"))
        _keep(connection, work, process, now() + lasts, note)
        return note

    return await ledger.write(ask)


async def note(ledger: Ledger, work: str, process: str, lasts: timedelta, note: Note) -> None:
    """Keep the turn for `work` with another note, if it is still this process's."""

    def change(connection: sa.Connection) -> None:
        if tolerant.object(connection.scalar(_row(work))).get("process") == process:
            _keep(connection, work, process, now() + lasts, note)

    await ledger.write(change)


async def leave(ledger: Ledger, work: str, process: str) -> None:
    """Let another process have the turn at once. The note stays."""

    def end(connection: sa.Connection) -> None:
        kept = tolerant.object(connection.scalar(_row(work)))
        if kept.get("process") == process:
            _keep(connection, work, "", now(), tolerant.object(kept.get("note")))

    await ledger.write(end)


def _name(work: str) -> str:
    return f"turn of {work}"


def _row(work: str) -> sa.Select[Any]:
    """Locked until the transaction ends. SQLite has one writer anyway."""
    return sa.select(installation.c.value).where(installation.c.name == _name(work)).with_for_update()


def _keep(connection: sa.Connection, work: str, process: str, until: datetime, note: Note) -> None:
    value = orjson.dumps({"process": process, "until": until, "note": note}).decode()
    change = sa.update(installation).where(installation.c.name == _name(work))
    connection.execute(change.values(value=value))
