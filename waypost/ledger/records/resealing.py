"""Seals what the newest key has not sealed: personal data of before, and that of older keys.

It walks through the tables by their primary keys, in short transactions, and again a day later: a process
whose newest key is another may have written meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import HASH_KEY, SEALED
from waypost.ledger.database.steps import MOST_BYTES, Pace, portions
from waypost.ledger.database.tables import installation
from waypost.ledger.records import periodic_turns
from waypost.system.clock import now
from waypost.system.key_ring import BEGIN, is_sealed, key_of

WORK = "sealing"
LOOKED_AT = 2000  # rows of a page
TURN = timedelta(minutes=10)
AGAIN = timedelta(days=1)
IN_CLEAR = ""  # in place of a key's id
_HASH_KEY = sa.select(installation.c.value).where(installation.c.name == HASH_KEY)
_SHORT = 32 + len(BEGIN) + 2  # characters that tell a value's key


async def reseal(ledger: Ledger, process: str) -> int:
    """Seal all personal data with the newest key, unless this was done within a day. Returns how many rows
    changed; one process at a time does it. process: the name of this process."""
    newest = ledger.sealing.ring.newest
    if newest is None or (note := await periodic_turns.take(ledger, WORK, process, TURN)) is None:
        return 0
    done_at = tolerant.moment(note.get("at"))
    if note.get("key") == newest and isinstance(done_at, datetime) and done_at > now() - AGAIN:
        await periodic_turns.leave(ledger, WORK, process)
        return 0
    changed = await ledger.write(ledger.sealing.reseal_hash_key)
    for table in SEALED:
        changed += await _walk(ledger, table, process)
    await periodic_turns.note(ledger, WORK, process, TURN, {"key": newest, "at": now()})
    await periodic_turns.leave(ledger, WORK, process)
    return changed


async def _walk(ledger: Ledger, table: sa.Table, process: str) -> int:
    """Page through a table; rows that need it are sealed in steps."""
    changed, last, pace = 0, (), Pace()
    while page := await ledger.read(partial(_page, table=table, after=last)):
        await periodic_turns.note(ledger, WORK, process, TURN, {})
        todo = [row for row in page if row.needs]
        while todo:
            some = portions(todo, lambda row: row.bytes, most=pace.rows, most_bytes=MOST_BYTES)[0]
            todo = todo[len(some) :]
            async with pace.transaction():
                changed += await ledger.write(partial(_seal, table=table, rows=some))
        following = tuple(page[-1][: len(table.primary_key)])
        if following == last:
            break  # text that is not UTF-8: it is read as another text
        last = following
    return changed


def _page(connection: sa.Connection, *, table: sa.Table, after: Sequence[Any]) -> Sequence[sa.Row[Any]]:
    key = list(table.primary_key)
    columns = *tolerant.raw(*key), needs(connection, table).label("needs"), _bytes(table).label("bytes")
    wanted = sa.select(*columns).order_by(*key).limit(LOOKED_AT)
    if after:
        wanted = wanted.where(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, after)))
    return tolerant.read(connection, wanted)


def needs(connection: sa.Connection, table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a row of `table` has personal data that the newest key has not sealed."""
    mark = sealing.of(connection).ring.mark
    tests: list[sa.ColumnElement[bool]] = []
    for name in SEALED[table]:
        text, begins = _text(table, name), f'"{mark}' if _is_json(table, name) else mark
        nothing = text.in_(("", "{}", "null"))
        tests.append(sa.and_(text.is_not(None), ~nothing, sa.func.substr(text, 1, len(begins)) != begins))
    return sa.or_(*tests)


def _text(table: sa.Table, name: str) -> sa.ColumnElement[str]:
    return sa.cast(table.c[name], sa.Text)


def _is_json(table: sa.Table, name: str) -> bool:
    return isinstance(table.c[name].type, sa.JSON)


def _bytes(table: sa.Table) -> sa.ColumnElement[int]:
    lengths = (sa.func.coalesce(sa.func.length(_text(table, name)), 0) for name in SEALED[table])
    first, *more = lengths
    return sum(more, first)


def _seal(connection: sa.Connection, *, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> int:
    """Seal those of `rows` that still need it. A row that cannot be opened is left, and logged."""
    key, box = list(table.primary_key), sealing.of(connection)
    names = SEALED[table]
    changed = 0
    for one in rows:
        place = zip(key, one[: len(key)], strict=True)
        is_it = sa.and_(*(column == _value(column, value) for column, value in place))
        wanted = sa.select(*key, *(table.c[name] for name in names)).where(is_it).with_for_update()
        for opened in tolerant.each(connection, wanted, key, partial(box.row, table)).good:
            values = box.sealed(table, cast("dict[str, Any]", vars(opened)))
            update = sa.update(table).where(is_it).values({name: values[name] for name in names})
            changed += connection.execute(update).rowcount
    return changed


def _value(column: sa.Column[Any], value: Any) -> Any:
    return tolerant.identity(value) if isinstance(column.type, sa.Uuid) else value


async def counts(ledger: Ledger) -> Mapping[str, int]:
    """How many rows the keys other than the newest sealed, by the key's id; IN_CLEAR for rows in the clear.
    Reads every row."""
    found: Counter[str] = Counter()
    for table in SEALED:
        found += await ledger.browse(partial(_count, table=table))
    return found


async def missing(ledger: Ledger) -> list[str]:
    """The ids of keys that sealed something, and that this process does not have."""
    kept = await ledger.read(lambda connection: connection.scalar(_HASH_KEY))
    found = {*await counts(ledger), *([key_of(kept)] if is_sealed(kept) and kept else [])}
    return sorted(found - {IN_CLEAR, *ledger.sealing.ring.ids})


def _count(connection: sa.Connection, *, table: sa.Table) -> Counter[str]:
    begins = [sa.func.substr(_text(table, name), 1, _SHORT).label(name) for name in SEALED[table]]
    rows = tolerant.read(connection, sa.select(*begins).where(needs(connection, table)))
    newest = sealing.of(connection).ring.newest
    found: Counter[str] = Counter()
    for row in rows:
        keys = {_key(tolerant.text(value)) for value in row if value not in (None, "", "{}", "null")}
        found.update(keys - {newest})
    return found


def _key(begins: str) -> str:
    bare = begins.removeprefix('"')
    return key_of(bare) if is_sealed(bare) else IN_CLEAR
