"""Encodings that a reply may use are undone, in linear time, and a plain text is left alone."""

import time

import pytest

from waypost.policy.redaction.encodings import in_plain_letters


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("550 5.1.1 no such user", "550 5.1.1 no such user"),
        ("code \uff14\uff18\uff11\uff15\uff12\uff19", "code 481529"),
        ("%34%38%31529", "481529"),
        ("&#52;&#x38;1529", "481529"),
        ("ada%2540a.example", "ada@a.example"),
        ("%EF%BC%94%26%2356;1529", "481529"),
        ("100% sure & well", "100% sure & well"),
    ],
)
def test_an_encoding_is_undone(text, plain):
    assert in_plain_letters(text) == plain


@pytest.mark.parametrize("end", ["%", "%3", "&", "&#5", "&am"])
def test_an_escape_that_was_cut_is_left_out(end):
    assert in_plain_letters(f"481529{end}", cut=True) == "481529"


@pytest.mark.parametrize("piece", ["%25", "&amp;", "\ufdfa", "%", "&", "e\u0301"])
def test_the_time_is_linear_in_the_text(piece):
    began = time.process_time()
    in_plain_letters(piece * 20_000)
    assert time.process_time() - began < 2
