"""Counts are told in words that fit their number."""

from __future__ import annotations

import pytest

from waypost.system.plurals import counted


@pytest.mark.parametrize(
    ("count", "things", "said"),
    [(0, "", "no mails"), (1, "", "1 mail"), (2, "", "2 mails"), (1204, "post", "1,204 post")],
)
def test_a_thing_stands_in_the_number_of_its_count(count, things, said):
    assert counted(count, "mail", things) == said
