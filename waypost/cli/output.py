"""How the commands write: tables and lines for people, JSON for scripts."""

from __future__ import annotations

import codecs
import io
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show addresses and phone numbers in full.")]


def show_what_can_be_shown() -> None:
    """Show a question mark for a character that standard output or error cannot encode, as in Latin-1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="replace")


def complain(line: str) -> None:
    """Print an error on standard error: one line, for a terminal to wrap."""
    err.print(f"[red]waypost: {escape(line)}", soft_wrap=True)


def warn(line: str) -> None:
    """Print a fault that does not stop the command, on standard error."""
    err.print(f"[yellow]warning:[/] {escape(line)}", soft_wrap=True)


def print_json(value: Any) -> None:
    """`value` as indented JSON on standard output; dataclasses, UUIDs and times included."""
    typer.echo(json_bytes(value, indented=True))  # in UTF-8, whatever the terminal's encoding is


def json_bytes(value: Any, indented: bool = False) -> bytes:
    """`value` as JSON; dataclasses, UUIDs and times included."""
    import orjson

    options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indented else 0)
    return orjson.dumps(value, option=options, default=str)


WIDEST = 10_000  # columns of a table that does not go to a terminal: every cell is complete


def show(shown: Table | Group) -> None:
    """Print a table: as wide as the terminal, or with every cell complete where there is no terminal."""
    console = out if out.is_terminal else Console(file=out.file, width=WIDEST, highlight=False)
    console.print(shown)


def titled(title: str, shown: Table) -> Group:
    """`shown` below its title."""
    return Group(Text(title, "bold"), shown)


def table(*columns: str, rows: Iterable[Sequence[object]]) -> Table:
    """A table of plain text; cells are never read as markup. A column of numbers stands at the right."""
    cells = list(rows)
    made = Table()
    for number, name in enumerate(columns):
        numbers = bool(cells) and all(isinstance(row[number], (int, float)) for row in cells)
        made.add_column(name, justify="right" if numbers else "left")
    for row in cells:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else escape(str(value))


def wrapped(text: str, indent: int) -> str:
    """`text` broken between words at the terminal's width, later lines indented by `indent` columns. Unbroken
    when standard output is no terminal. A word longer than a line, such as a URL, stays whole."""
    if not out.is_terminal:
        return text
    room = max(out.width - indent, 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def plain(value: object) -> str:
    """`value` on one line, without characters that move a terminal's cursor; moments to the second."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    shown = " ".join(str(value).split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)
