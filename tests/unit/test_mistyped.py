"""A value that a command cannot take is told in people's words."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from waypost.cli import app

ID = "ID: not an id: give the id as `waypost list` shows it, or its first 4 digits or more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", "foo"), ID),
        (("explain", "019b..3c4d5e"), "ID: an id needs 8 digits or more before its two dots"),
        (("retry", "foo"), ID),
        (("webhooks", "delete", "foo"), ID.replace("waypost list", "waypost webhooks list")),
        (("list", "--after", "019"), ID.replace("ID", "--after", 1)),
        (("list", "--state", "bogus"), "--state: 'bogus' is not a state: use accepted, held, "),
        (("list", "--limit", "0"), "--limit: less than 1"),
        (("list", "--recipient", ""), "--recipient: not one line of text"),
        (("list", "--nope"), "no such option: --nope"),
        (("send",), "TYPE: missing"),
        (("send", "alert", "--from", "nowhere"), "--from: file 'nowhere' does not exist"),
        (("keys", "create", "shop", "--rate", "0"), "--rate: less than 1"),
        (("keys", "create", "shop", "--rate", "x"), "--rate: not a whole number"),
        (("lsit",), "no such command 'lsit'. Did you mean 'list'?"),
        (("keys", "rotat"), "no such command 'rotat'. Did you mean 'rotate'?"),
    ],
)
def test_a_wrong_value_is_told_without_a_librarys_words(arguments, said):
    done = CliRunner(env={"COLUMNS": "40"}).invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"waypost: {said}")
    assert "Input should" not in line


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        (("list", "--limit", "0"), "waypost list --help"),
        (("keys", "create", "shop", "--rate", "0"), "waypost keys create --help"),
        (("lsit",), "waypost --help"),
    ],
)
def test_a_wrong_value_is_told_with_the_help_to_read(arguments, page):
    done = CliRunner().invoke(app, arguments, prog_name="waypost")
    assert done.stderr.endswith(f"(see `{page}`)\n")
