"""What people type or paste, in the characters they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.pasted_text import cleaned


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("123456", "123456"),
        ("\uff11\uff12\uff13\uff0d\uff14\uff15\uff16", "123-456"),
        ("١٢٣۴۵۶", "123456"),
        ("1\u20102\u20113\u20124\u20135\u2014\u22126", "1-2-3-4-5--6"),
        ("1\u00a02\u20073\u202f4\u30005\u20096", "1 2 3 4 5 6"),
        ("\u202a123\u200b456\u202c\ufeff", "123456"),
        ("abc", "abc"),
    ],
)
def test_marks_of_every_kind_become_plain(pasted, meant):
    assert cleaned(pasted) == meant


@given(st.text())
def test_cleaning_twice_changes_nothing(text):
    assert cleaned(cleaned(text)) == cleaned(text)
