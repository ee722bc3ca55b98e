"""Statements over many rows with few bound values: rendering `id IN (?, ?, ...)` with 500 values takes longer
than the query, and one statement per row takes longer than the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any, ClassVar
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles

from waypost.ledger.database.dialect import is_postgres

FEW = 16  # rows; with fewer, equal columns are not looked for
LONG = 64 * 1024  # bytes of a value; encoding a longer one takes longer than another statement
A_STATEMENT = 4 * 1024 * 1024  # bytes of values encoded without a pause: about ten milliseconds


class _AsIs(sa.types.UserDefinedType[Any]):
    """A PostgreSQL type whose values are passed to the driver unchanged: SQLAlchemy's own arrays process
    every element."""

    cache_ok = True

    def __init__(self, spelled: str) -> None:
        self.spelled = spelled

    def get_col_spec(self, **_: Any) -> str:
        return self.spelled


class _Many(sa.TypeDecorator[Any]):
    """Many UUIDs or texts: an array on PostgreSQL, a JSON text on SQLite (whose UUIDs are 32 hex digits).
    element: PostgreSQL's type of each."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, element: str) -> None:
        super().__init__()
        self.element = element

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(_AsIs(f"{self.element}[]") if _is_postgres(dialect) else sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if _is_postgres(dialect):
            return value
        return orjson.dumps([one.hex if isinstance(one, UUID) else one for one in value]).decode()


def _is_postgres(dialect: sa.Dialect) -> bool:
    return dialect.name == "postgresql"


_IDS, _TEXTS = _Many("UUID"), _Many("TEXT")


class _InMany(sa.ColumnElement[bool]):
    inherit_cache = True
    # Not Boolean: SQLAlchemy would write `... = 1` on SQLite, and no index would be used.
    type: Any = sa.types.NULLTYPE
    # What tells one such condition from another, so that SQLAlchemy can cache the compiled statement.
    _traverse_internals: ClassVar[Any] = [
        ("column", sa.sql.visitors.InternalTraversal.dp_clauseelement),
        ("values", sa.sql.visitors.InternalTraversal.dp_clauseelement),
        ("element", sa.sql.visitors.InternalTraversal.dp_string),
    ]

    def __init__(self, column: sa.ColumnElement[Any], values: sa.BindParameter[Any], element: str) -> None:
        self.column = column
        self.values = values
        self.element = element


@compiles(_InMany, "postgresql")
def _any_of_array(element: _InMany, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    column, values = (compiler.process(part, **options) for part in (element.column, element.values))
    return f"{column} = ANY (CAST({values} AS {element.element}[]))"


@compiles(_InMany, "sqlite")
def _in_json(element: _InMany, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    column, values = (compiler.process(part, **options) for part in (element.column, element.values))
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - both are SQL that SQLAlchemy wrote


def in_ids(
    column: sa.ColumnElement[UUID] | sa.Column[UUID], ids: Sequence[UUID] | str
) -> sa.ColumnElement[bool]:
    """Whether `column` is one of `ids`, which are values or the name of the parameter that will hold them."""
    if isinstance(ids, str):
        return _InMany(column, sa.bindparam(ids, type_=_IDS), _IDS.element)
    return _InMany(column, sa.bindparam(None, ids, type_=_IDS, unique=True), _IDS.element)


def in_texts(column: sa.Column[str], texts: Collection[str] | str) -> sa.ColumnElement[bool]:
    """Whether `column` is one of `texts`, which are values or the name of the parameter that holds them."""
    if isinstance(texts, str):
        return _InMany(column, sa.bindparam(texts, type_=_TEXTS), _TEXTS.element)
    given = sa.bindparam(None, list(texts), type_=_TEXTS, unique=True)
    return _InMany(column, given, _TEXTS.element)


Conflict = Callable[[Any], Any]
Rows = Sequence[Mapping[str, Any]]
Prepare = Callable[[Rows], Rows]


def do_nothing(insert: Any) -> Any:
    """ON CONFLICT DO NOTHING"""
    return insert.on_conflict_do_nothing()


def _as_they_are(rows: Rows) -> Rows:
    return rows


def insert_many(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    on_conflict: Conflict | None = None,
    prepare: Prepare = _as_they_are,
) -> int:
    """Insert `rows`, which all have the same keys. Returns how many rows were inserted, or changed by
    `on_conflict`.

    prepare: called with the rows of each statement, just before it; returns them as they are to be written.

    on_conflict: adds a dialect's ON CONFLICT to the statement; pass the same function each time, as the
    statement is cached by it.
    """
    if not rows:
        return 0
    if is_postgres(connection):
        return sum(
            _insert(connection, table, ready, on_conflict) for ready in _prepared(connection, rows, prepare)
        )
    text, writers = _statement(connection.dialect, table, tuple(rows[0]), on_conflict)
    return connection.exec_driver_sql(text, _tuples(writers, prepare(rows))).rowcount


def _insert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    on_conflict: Conflict | None,
) -> int:
    columns = _columns(rows)
    alike = _alike(columns, len(rows))
    statement = _insertion(table, tuple(columns), alike, on_conflict)
    return connection.execute(statement, _parameters(table, columns, alike)).rowcount


def _prepared(connection: sa.Connection, rows: Rows, prepare: Prepare) -> Iterator[Rows]:
    """The rows of each statement, as they are to be written. Both to prepare long values and to encode them
    blocks the event loop, so it turns in between."""
    names = [name for name, value in rows[0].items() if isinstance(value, bytes)]
    sizes = [list(map(len, map(itemgetter(name), rows))) for name in names]
    if sum(map(sum, sizes)) <= A_STATEMENT:
        yield prepare(rows)
        return
    for some in _slices(rows, names, list(map(sum, zip(*sizes, strict=True)))):
        ready = prepare(some)
        _let_others_run(connection)
        yield ready


def _let_others_run(connection: sa.Connection) -> None:
    """Let the event loop turn once, in the middle of a transaction on PostgreSQL."""
    adapted: Any = connection.connection.dbapi_connection
    adapted.run_async(_turn)


async def _turn(_connection: object) -> None:
    await asyncio.sleep(0)


def _slices(rows: Rows, names: Sequence[str], sizes: Sequence[int]) -> Iterator[Rows]:
    """The rows of each statement. The driver blocks the event loop while it encodes a statement, but not
    between two. A long value has a statement of its own, with all adjacent rows that share the value.
    names: the columns whose values are bytes. sizes: the bytes of each row."""

    def together(numbered: tuple[int, Mapping[str, Any]]) -> tuple[Any, ...]:
        end, row = numbered
        return tuple(id(row[name]) for name in names if len(row[name]) > LONG) or (None, end // A_STATEMENT)

    for _, some in groupby(zip(accumulate(sizes), rows, strict=True), together):
        yield [row for _, row in some]


def update_many(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *conditions: sa.ColumnElement[bool],
) -> int:
    """Set the columns of each row, found by its `id`, where `conditions` hold. Pass the same condition
    objects each time, as the statement is cached by them. Returns how many rows changed."""
    if not rows:
        return 0
    dialect = connection.dialect.name
    if dialect != "postgresql":
        statement = _update(dialect, table, tuple(rows[0]), frozenset[str](), conditions)
        given = [{f"_{name}": value for name, value in row.items()} for row in rows]
        return connection.execute(statement, given).rowcount
    columns = _columns(rows)
    alike = _alike(columns, len(rows))
    statement = _update(dialect, table, tuple(columns), alike, conditions)
    return connection.execute(statement, _parameters(table, columns, alike)).rowcount


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: list(map(itemgetter(name), rows)) for name in rows[0]}


def _alike(columns: Mapping[str, list[Any]], rows: int) -> frozenset[str]:
    """The columns with one value in all rows: PostgreSQL is sent that value once, as the driver takes about a
    microsecond to encode an element. With few rows there are none, so that these share a statement, except
    long values, as of a mail to several recipients: encoding one per row would block the event loop."""
    if rows < FEW:
        return frozenset(
            name
            for name, (first, *others) in columns.items()
            if isinstance(first, bytes) and len(first) > LONG and all(other is first for other in others)
        )
    return frozenset(
        name
        for name, values in columns.items()
        if name != "id" and values[0] == values[-1] and values.count(values[0]) == rows
    )


Writer = Callable[[Any], Any]


def _construct(table: sa.Table, on_conflict: Conflict | None) -> Any:
    return sa.insert(table) if on_conflict is None else on_conflict(sqlite.insert(table))


@lru_cache(256)
def _statement(
    dialect: sa.Dialect, table: sa.Table, names: tuple[str, ...], on_conflict: Conflict | None
) -> tuple[str, dict[str, Writer | None]]:
    """The INSERT for SQLite, and the converter of each column's values, in the statement's order. When
    SQLAlchemy executes a construct, it processes each value of each row, which takes longer than SQLite
    does, and it does not cache the compiled form of a construct with ON CONFLICT."""
    parameters = {name: sa.bindparam(name, type_=table.c[name].type) for name in names}
    compiled = _construct(table, on_conflict).values(parameters).compile(dialect=dialect)
    ordered: list[str] = compiled.positiontup
    return str(compiled), {name: _writer(dialect, table.c[name]) for name in ordered}


def _writer(dialect: sa.Dialect, column: sa.Column[Any]) -> Writer | None:
    return column.type.dialect_impl(dialect).bind_processor(dialect)


def _tuples(writers: Mapping[str, Writer | None], rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    columns = (
        [row[name] for row in rows] if write is None else [write(row[name]) for row in rows]
        for name, write in writers.items()
    )
    return list(zip(*columns, strict=True))


@lru_cache(256)
def _insertion(
    table: sa.Table,
    names: tuple[str, ...],
    alike: frozenset[str],
    on_conflict: Conflict | None,
) -> Any:
    """The statement, cached, as building it takes many times longer than running it. PostgreSQL gets one
    array per column, which takes half the time of one statement per row."""
    given = sa.select(*_unnested(table, names, alike).c)
    if on_conflict is None:
        return sa.insert(table).from_select(list(names), given)
    insert = on_conflict(postgresql.insert(table).from_select(list(names), given))
    return _written_out(insert, table, names, alike)


def _written_out(
    statement: postgresql.Insert, table: sa.Table, names: tuple[str, ...], alike: frozenset[str]
) -> sa.TextClause:
    """An INSERT with ON CONFLICT as text: SQLAlchemy does not cache the compiled construct, and compiling it
    again took milliseconds of a single request."""
    text = str(statement.compile(dialect=postgresql.dialect(paramstyle="named")))
    return sa.text(text).bindparams(*(_parameter(table, name, alike) for name in names))


@lru_cache(256)
def _update(
    dialect: str,
    table: sa.Table,
    names: tuple[str, ...],
    alike: frozenset[str],
    conditions: tuple[sa.ColumnElement[bool], ...],
) -> sa.Update:
    changed = [name for name in names if name != "id"]
    values: dict[str, Any]
    if dialect == "postgresql":
        given = _unnested(table, names, alike)
        found, values = table.c.id == given.c.id, {name: given.c[name] for name in changed}
    else:
        found = table.c.id == sa.bindparam("_id")
        values = {name: sa.bindparam(f"_{name}") for name in changed}
    return sa.update(table).where(found, *conditions).values(values)


def _unnested(table: sa.Table, names: tuple[str, ...], alike: frozenset[str]) -> sa.Subquery:
    """The rows as a table: one array per column, each a parameter `_name`, and a single value of each column
    that is `alike` in all rows. JSON is sent as bytes, which the driver does not convert."""
    differing = [name for name in names if name not in alike]
    arrays = [_cast(table, name, alike) for name in differing]
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in differing]
    given = sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
    values = ((name, _cast(table, name, alike) if name in alike else given.c[name]) for name in names)
    return sa.select(
        *(
            (_read_json(value) if isinstance(table.c[name].type, sa.JSON) else value).label(name)
            for name, value in values
        )
    ).subquery()


def _read_json(value: sa.ColumnElement[Any]) -> sa.Cast[Any]:
    return sa.cast(sa.func.convert_from(value, sa.literal_column("'UTF8'")), sa.JSON)


def _cast(table: sa.Table, name: str, alike: frozenset[str]) -> sa.Cast[Any]:
    parameter = _parameter(table, name, alike)
    return sa.cast(parameter, parameter.type)


def _parameter(table: sa.Table, name: str, alike: frozenset[str]) -> sa.BindParameter[Any]:
    element = _element(table.c[name])
    return sa.bindparam(f"_{name}", type_=_AsIs(element if name in alike else f"{element}[]"))


def _parameters(table: sa.Table, columns: Mapping[str, list[Any]], alike: frozenset[str]) -> dict[str, Any]:
    """A list per column, or the single value of a column that is alike."""
    return {
        f"_{name}": _array(table.c[name], values[:1])[0] if name in alike else _array(table.c[name], values)
        for name, values in columns.items()
    }


def as_json(value: Any) -> str:
    return _json_bytes(value).decode()


def _json_bytes(value: Any) -> bytes:
    """Bytes are JSON already: facts are serialized once, where their hash is computed."""
    return value if isinstance(value, bytes) else orjson.dumps(value)


def _array(column: sa.Column[Any], values: list[Any]) -> list[Any]:
    if not isinstance(column.type, sa.JSON):
        return values
    null = None if column.type.none_as_null else b"null"
    return [null if value is None else _json_bytes(value) for value in values]


def _element(column: sa.Column[Any]) -> str:
    """The type of the array's elements; every moment has a time zone, so the driver needs no conversion."""
    match column.type:
        case sa.JSON():
            return "BYTEA"
        case sa.TypeDecorator():
            return "TIMESTAMPTZ"
        case other:
            return str(other.compile(postgresql.dialect()))
