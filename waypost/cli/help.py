"""Help, fitted to the terminal: text in paragraphs, options and commands in panels."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any, cast

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from waypost.cli.output import out

WIDEST = 100  # columns; longer lines are hard to read
BESIDE = 36  # columns; where fewer are left beside the terms, descriptions stand below them
_BORDERS = 6  # columns: a panel's frame, and the gap between term and description


def command_help(command: Any, ctx: Any) -> str:
    """The help of one command: usage, text, arguments, options."""
    return _rendered([*_head(command, ctx), *_parameters(command, ctx)])


def group_help(group: Any, ctx: Any) -> str:
    """The help of a group: its text, its commands in their panels, its options."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, one in group.commands.items():
        panel = one.rich_help_panel if isinstance(one.rich_help_panel, str) else "Commands"
        panels.setdefault(panel, []).append((name, one.short_help or next(_paragraphs(one.help), "")))
    widest = max(len(name) for rows in panels.values() for name, _ in rows)
    shown = [_panel(title, rows, widest) for title, rows in panels.items()]
    return _rendered([*_head(group, ctx), *shown, *_parameters(group, ctx)])


def _rendered(parts: Iterable[RenderableType]) -> str:
    """`parts` as text for standard output, coloured if that is a terminal."""
    console = Console(
        file=StringIO(),
        width=_width(),
        force_terminal=out.is_terminal,
        no_color=out.no_color,
        highlight=False,
    )
    with console.capture() as found:
        console.print(Group(*parts))
    return "\n".join(line.rstrip() for line in found.get().splitlines()) + "\n"


def _width() -> int:
    return min(Console().width, WIDEST)


def _head(command: Any, ctx: Any) -> Iterator[RenderableType]:
    yield Text.assemble("Usage: ", (" ".join(_usage(command, ctx)), "bold"))
    yield ""
    for paragraph in _paragraphs(command.help):
        yield Padding(Text(paragraph), (0, 0, 1, 0))


def _usage(command: Any, ctx: Any) -> Iterator[str]:
    yield f"{ctx.command_path} [OPTIONS]"
    if hasattr(command, "commands"):
        yield "COMMAND"
    for one in command.get_params(ctx):
        if one.param_type_name == "argument":
            name = f"{_name(one)}..." if one.nargs == -1 else _name(one)
            yield name if one.required else f"[{name}]"


def _parameters(command: Any, ctx: Any) -> Iterator[RenderableType]:
    """Arguments and options, each in a panel."""
    rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for one in command.get_params(ctx):
        if one.param_type_name == "argument":
            rows["Arguments"].append((_name(one), _described(one)))
        elif not one.hidden:
            rows["Options"].append((_option(one), _described(one)))
    widest = max(len(term) for some in rows.values() for term, _ in some)
    for title, some in rows.items():
        if some:
            yield _panel(title, some, widest)


def _name(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def _option(one: Any) -> str:
    """`-y, --yes` or `--limit N`."""
    names = ", ".join(sorted((*one.opts, *one.secondary_opts), key=len))
    if one.is_flag:
        return names
    return f"{names} {one.metavar or one.name.upper()}"


def _described(one: Any) -> str:
    """The help text, with what is used when the option is not given."""
    text = " ".join((one.help or "").split())
    if one.name == "help":
        text = "Show this help."
    if one.required and one.param_type_name == "option":
        return f"{text} Required."
    return f"{text} Default: {default}." if (default := _default(one)) else text


def _default(one: Any) -> str:
    value: Any = one.default
    if value is None or value == "" or not one.show_default or callable(value):
        return ""
    if one.param_type_name == "option" and one.is_flag:
        return (one.opts if value else one.secondary_opts or [""])[0]
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, cast("list[object]", value)))
    return str(value)


def _panel(title: str, rows: Sequence[tuple[str, str]], widest: int) -> Panel:
    """`rows` of a term and its description. widest: the columns of the longest term of all panels."""
    beside = _width() - widest - _BORDERS >= BESIDE
    inside = _beside(rows, widest) if beside else _below(rows)
    return Panel(inside, title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _beside(rows: Sequence[tuple[str, str]], widest: int) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=widest, no_wrap=True, style="bold cyan")
    grid.add_column(ratio=1)
    for term, text in rows:
        grid.add_row(Text(term), Text(text))
    return grid


def _below(rows: Sequence[tuple[str, str]]) -> Group:
    parts = ((Text(term, style="bold cyan"), Padding(Text(text), (0, 0, 0, 2))) for term, text in rows)
    return Group(*(part for pair in parts for part in pair))


def _paragraphs(text: str | None) -> Iterator[str]:
    """The paragraphs of a docstring, each on one line: the terminal's width breaks them, not the source's."""
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        if paragraph.strip():
            yield " ".join(paragraph.split())
