"""A value that a command cannot take is told in people's words."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from waypost.cli import app

ID = "not an id, such as 019b76da-a800-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", "foo"), f"{ID}; `waypost list` shows them"),
        (("retry", "foo"), f"{ID}; `waypost list` shows them"),
        (("webhooks", "delete", "foo"), f"{ID}; `waypost webhooks list` shows them"),
        (("list", "--state", "bogus"), "'--state': 'bogus' is not one of 'accepted', "),
        (("list", "--limit", "0"), "'--limit': less than 1"),
        (("keys", "create", "shop", "--rate", "0"), "'--rate': less than 1"),
        (("keys", "create", "shop", "--rate", "x"), "'--rate': not a whole number"),
    ],
)
def test_a_wrong_value_is_told_without_a_librarys_words(arguments, said):
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments)
    told = " ".join(done.stderr.replace("\u2502", " ").split())
    assert done.exit_code == 2
    assert said in told
    assert "Input should" not in told
