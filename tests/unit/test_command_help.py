"""Help reads well at every width, and every command is in the list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from waypost.cli import COMMANDS, app

ROOT = get_command(app)
ONE_LINE = {name: one for commands in COMMANDS.values() for name, one in commands.items()}
WIDTHS = (40, 60, 80, 120)
LOADED = {name: one.load(name) for name, one in ONE_LINE.items()}


def paths() -> Iterator[tuple[str, ...]]:
    """Every command, as it is typed."""
    yield ()
    for name, command in LOADED.items():
        yield (name,)
        yield from ((name, below) for below in getattr(command, "commands", {}))


@cache
def shown(path: tuple[str, ...], width: int) -> str:
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(app, [*path, "--help"], prog_name="waypost")
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def words(text: str) -> set[str]:
    return set(re.sub("[╭╮╰╯─│]", " ", text).split())


@pytest.mark.parametrize("path", [*paths()], ids=" ".join)
def test_help_is_fitted_to_the_terminal_and_cuts_no_word(path):
    for width in WIDTHS:
        text = shown(path, width)
        assert max(map(len, text.splitlines())) <= width
        assert words(text) == words(shown(path, 300))


@pytest.mark.parametrize("path", [*paths()], ids=" ".join)
def test_the_lines_of_a_paragraph_are_full(path):
    for width in WIDTHS:
        head = shown(path, width).partition("╭")[0]
        for paragraph in head.split("\n\n")[1:]:
            for line, following in pairwise(paragraph.splitlines()):
                assert len(f"{line} {following.split()[0]}") > min(width, 100)


def test_the_commands_are_in_panels_in_a_known_order():
    panels = re.findall(r"╭─ (\w+)", shown((), 80))
    assert panels == ["Begin", "Run", "Send", "Look", "Act", "Gateway", "Maintain", "Options"]


@pytest.mark.parametrize("name", ONE_LINE)
def test_a_summary_is_one_short_line_and_the_first_of_the_commands_own_help(name):
    summary = ONE_LINE[name].summary
    assert len(summary) <= 60
    assert summary.endswith(".")
    assert f"│ {name:<12}  {summary} " in shown((), 80)
    assert shown((name,), 80).split("\n\n")[1].startswith(summary)


@pytest.mark.parametrize("path", [path for path in paths() if path], ids=" ".join)
def test_every_argument_and_option_is_described_by_a_sentence(path):
    command = LOADED[path[0]].commands[path[1]] if path[1:] else LOADED[path[0]]
    for one in command.params:
        assert re.fullmatch(r"[A-Z].*[^ ]\.", one.help or ""), one.name


def test_states_to_choose_from_are_named_whole():
    for width in (40, 60, 80):
        assert {"suppressed,", "cancelled.", "deferred,"} <= words(shown(("list",), width))


def test_a_group_without_a_command_shows_its_help():
    for path in ((), ("keys",), ("webhooks",)):
        done = CliRunner(env={"COLUMNS": "80"}).invoke(app, path, prog_name="waypost")
        assert (done.exit_code, done.stdout) == (2, shown(path, 80))
