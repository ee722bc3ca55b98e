"""How the commands write: tables and lines for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.cells import cell_len
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
    """A table of plain text; cells are never read as markup."""
    made = Table(*columns, title=title, title_justify="left")
    for row in rows:
        made.add_row(*(escape(str(cell)) for cell in row))
    return made


def columns(rows: Iterable[Sequence[object]]) -> None:
    """Print `rows` on standard output, one a line, in aligned columns. The terminal's width does not
    matter."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def plain(value: object) -> str:
    """`value` on one line, without characters that move a terminal's cursor; moments to the second."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    shown = " ".join(str(value).split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)
