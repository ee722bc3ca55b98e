"""Encoded words, read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.encoded_words import decoded, encoded


@pytest.mark.long
@given(st.text(max_size=300))
def test_what_is_encoded_is_read_again(value):
    value = value.encode(errors="replace").decode()
    assert decoded(encoded(value, 9).replace("\r\n", "")) == value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("plain =? text", "plain =? text"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?b?w7w?=", "ü"),
        ("=?iso-8859-1?q?=FC?= and =?windows-1252?b?gA==?=", "ü and €"),
        ("=?utf-8?q?a?=  =?utf-8?q?b?= c", "ab c"),
        ('{"a": "=?utf-8?q?=C3=BC?="}', '{"a": "ü"}'),
        ("=?utf-8?q?=FF?=", "\ufffd"),
        ("=?utf-8?b?w?=", "=?utf-8?b?w?="),
        ("=?x-unknown?q?a?= =?utf-8?q?b?=", "=?x-unknown?q?a?= b"),
        ("=?punycode?q?a-?=", "=?punycode?q?a-?="),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?no end", "=?utf-8?q?no end"),
    ],
)
def test_a_word_is_read_or_left_as_it_is(written, read):
    assert decoded(written) == read
