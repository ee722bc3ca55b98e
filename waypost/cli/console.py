"""How the commands write: tables and lines for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def print_json(value: Any) -> None:
    """`value` as indented JSON on standard output; dataclasses, UUIDs and times included."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    typer.echo(orjson.dumps(value, option=options, default=str).decode())


def table(*columns: str, rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table of plain text; what comes from outside is never taken for markup."""
    made = Table(*columns, title=title, title_justify="left")
    for row in rows:
        made.add_row(*(escape(str(cell)) for cell in row))
    return made
