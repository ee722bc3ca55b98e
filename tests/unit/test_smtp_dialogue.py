"""Dots on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.channels.smtp.dialogue import stuffed


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a\r\n.b\r\n", b"a\r\n..b\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b".\r\n.\r\n", b"..\r\n..\r\n.\r\n"),
        (b"a\r\n..b\r\n", b"a\r\n...b\r\n.\r\n"),
        (b"a.b\r\nc.\r\n", b"a.b\r\nc.\r\n.\r\n"),
    ],
)
def test_a_leading_dot_is_doubled_and_a_final_one_added(message, wire):
    assert stuffed(message) == wire


@given(st.lists(st.text(".a ", max_size=4).map(str.encode), min_size=1))
def test_a_server_that_takes_dots_away_has_the_message_again(lines):
    wire = stuffed(b"\r\n".join(lines) + b"\r\n").split(b"\r\n")
    assert wire.index(b".") == len(wire) - 2
    assert [line[1:] if line.startswith(b".") else line for line in wire[:-2]] == lines
