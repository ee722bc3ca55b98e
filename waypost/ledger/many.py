"""Conditions over many values at once, as one bound value: `id IN (?, ?, ...)` with 500 of them costs
more to write out than the query takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles


class _Ids(sa.TypeDecorator[Any]):
    """Many UUIDs: an array on PostgreSQL, a JSON text on SQLite (whose UUIDs are 32 hex digits)."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(sa.Uuid()) if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if dialect.name == "postgresql":
            return list(value)
        return orjson.dumps([id.hex for id in value]).decode()


class _Among(sa.ColumnElement[bool]):
    inherit_cache = True
    type = sa.Boolean()
    # So that SQLAlchemy keeps the compiled statement: what tells one such condition from another.
    _traverse_internals: ClassVar[Any] = [
        ("column", sa.sql.visitors.InternalTraversal.dp_clauseelement),
        ("values", sa.sql.visitors.InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: sa.ColumnElement[Any], values: sa.ColumnElement[Any]) -> None:
        self.column = column
        self.values = values


@compiles(_Among, "postgresql")
def _any_of_array(element: _Among, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    column, values = (compiler.process(part, **options) for part in (element.column, element.values))
    return f"{column} = ANY ({values})"


@compiles(_Among, "sqlite")
def _in_json(element: _Among, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    column, values = (compiler.process(part, **options) for part in (element.column, element.values))
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - both are SQL that SQLAlchemy wrote


def among(column: sa.ColumnElement[UUID] | sa.Column[UUID], ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    """Whether `column` is one of `ids`."""
    return _Among(column, sa.bindparam(None, ids, type_=_Ids(), unique=True))
