"""Rows in columns: fitted to a terminal, complete where standard output is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import typer
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from waypost.cli.output import out, plain

_GAP = 2
_NARROWEST = 6  # columns of a cell that is cut
_NOTHING = ("", "-")


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is shown on a terminal. rank: where not all columns fit, those of the highest rank are
    left out first; a column of rank 0 always stays. cut: its cells may end in an ellipsis. least: the width
    to which it is cut, at most, before another column is left out. style: the rich style of a cell."""

    title: str
    rank: int = 0
    cut: bool = False
    least: int = _NARROWEST
    right: bool = False
    style: Callable[[str], str] = lambda cell: ""


def print_columns(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print a head and `rows`, one a line. On a terminal no line is longer than its width, as far as the
    columns that may be cut allow, and columns without content are left out."""
    cells = [[column.title for column in columns], *([plain(cell) for cell in row] for row in rows)]
    if not out.is_terminal:
        for line in _lines(columns, cells, _widths(cells)):
            typer.echo(line.plain)
        return
    shown = _shown(columns, cells, out.width)
    columns = [columns[number] for number in shown]
    cells = [[row[number] for number in shown] for row in cells]
    for line in _lines(columns, cells, _fitted(columns, _widths(cells), out.width)):
        out.print(line, soft_wrap=True)


def _shown(columns: Sequence[Column], cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """The columns to show, by what they hold and by the room for it."""
    _, *rows = cells
    least = [
        min(width, column.least) if column.cut else width
        for column, width in zip(columns, _widths(cells), strict=True)
    ]
    shown: list[int] = []
    for number in sorted(range(len(columns)), key=lambda number: columns[number].rank):
        needed = sum(least[one] + _GAP for one in (*shown, number)) - _GAP
        has_content = any(row[number] not in _NOTHING for row in rows)
        if not columns[number].rank or (has_content and needed <= room):
            shown.append(number)
    return sorted(shown)


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*cells, strict=True)]


def _fitted(columns: Sequence[Column], widths: list[int], room: int) -> list[int]:
    """`widths`, less what does not fit: the widest column that may be cut gives way first."""
    fitted, room = [*widths], room - _GAP * (len(widths) - 1)
    able = [number for number, column in enumerate(columns) if column.cut]
    while sum(fitted) > room and able:
        # First those that keep their least width.
        widest = max(able, key=lambda number: (fitted[number] > columns[number].least, fitted[number]))
        if fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _lines(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], widths: Sequence[int]
) -> Iterable[Text]:
    for number, row in enumerate(cells):
        line = Text()
        for column, cell, width in zip(columns, row, widths, strict=True):
            style = "bold" if number == 0 else column.style(cell)
            line.append(_sized(cell, width, column.right), style)
            line.append(" " * _GAP)
        line.rstrip()
        yield line


def _sized(cell: str, width: int, right: bool) -> str:
    if cell_len(cell) > width:
        cell = set_cell_size(cell, width - 1).rstrip() + "…"
    padding = " " * (width - cell_len(cell))
    return padding + cell if right else cell + padding
