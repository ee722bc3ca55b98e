"""docs/submission.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waypost.config.settings import Settings
from waypost.gateway.smtp import context, envelope, server, transaction
from waypost.mail import raw_message

PAGE = (Path(__file__).parents[2] / "docs" / "submission.md").read_text()


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("`WAYPOST_SUBMISSION_MEGABYTES`, 10;", Settings().submission_megabytes),
        ("10; 50 MB for all", envelope.MOST_KEPT / 1e6),
        ("| recipients | 100 |", envelope.MOST_RECIPIENTS),
        ("128 KiB; headers in ASCII", raw_message.LARGEST_HEAD // 1024),
        ("| time | 60 s to show a key", context.Patience().stranger),
        ("300 s for a command", context.Patience().command),
        ("600 s for a mail", context.Patience().mail),
        ("| sessions | 200, then", server.MOST_SESSIONS),
        ("20 mails in memory at once", context.MAILS_AT_ONCE),
        ("1,000 in a session", transaction.MOST_MAILS),
    ],
)
def test_a_limit_is_the_one_there_is(words, number):
    assert words in PAGE
    assert f"{number:,.0f}" in words


def test_every_reply_that_is_made_is_told():
    folder = Path(envelope.__file__).parent
    made = {
        code
        for file in folder.glob("*.py")
        for code in re.findall(r'"(4\d\d|5(?:3|5)\d) \d\.\d', file.read_text())
    }
    assert {code for code in made if f"`{code}" not in PAGE} == set()
