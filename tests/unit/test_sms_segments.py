"""The segments of a short message, at the bounds of TS 23.038 and TS 23.040."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.rendering.sms_segments import Encoding, excess, segments_of

GSM, UCS2 = Encoding.GSM, Encoding.UCS2
FLAG = "\U0001f6f0"  # outside the basic plane: two units


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count", "left"),
    [
        ("", GSM, 0, 1, 160),
        ("a" * 160, GSM, 160, 1, 0),
        ("a" * 161, GSM, 161, 2, 145),
        ("a" * 306, GSM, 306, 2, 0),
        ("a" * 307, GSM, 307, 3, 152),
        ("€" * 80, GSM, 160, 1, 0),
        ("a" * 159 + "€", GSM, 161, 2, 145),
        # An escape and its septet stay together: the 153rd septet of the first part stays empty.
        ("a" * 152 + "€" + "a" * 10, GSM, 164, 2, 141),
        ("€" * 153, GSM, 306, 3, 151),
        ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà", GSM, 44, 1, 116),
        ("[]{}\\~^|\f€", GSM, 20, 1, 140),
        ("ж" * 70, UCS2, 70, 1, 0),
        ("ж" * 71, UCS2, 71, 2, 63),
        ("ж" * 134, UCS2, 134, 2, 0),
        ("ж" * 135, UCS2, 135, 3, 66),
        ("a" * 69 + "ж", UCS2, 70, 1, 0),
        ("€" * 69 + "ж", UCS2, 70, 1, 0),  # the extension table counts once in UCS-2
        (FLAG * 35, UCS2, 70, 1, 0),
        (FLAG * 36, UCS2, 72, 2, 61),  # 33 in the first part, whose 67th unit stays empty
        (FLAG * 67, UCS2, 134, 3, 65),
        ("ç", UCS2, 1, 1, 69),  # only its capital is in the alphabet
        ("\x1b", UCS2, 1, 1, 69),  # the escape is no character
        ("\t", UCS2, 1, 1, 69),
    ],
)
def test_a_text_takes_so_many_segments(text, encoding, units, count, left):
    found = segments_of(text)
    assert (found.encoding, found.units, found.count, found.left) == (encoding, units, count, left)


def test_the_alphabet_has_its_size_and_the_letters_of_ascii_but_one():
    letters = [chr(code) for code in range(0x10000) if segments_of(chr(code)).encoding is GSM]
    assert (len(letters), sum(segments_of(letter).units for letter in letters)) == (137, 147)
    assert {chr(code) for code in range(32, 127)} - {*letters} == {"`"}


def test_the_characters_that_force_ucs2_are_told_once_by_code_point():
    assert segments_of("\u201da\u201c \u2013 \u201cb\u201d").forcing == ("\u2013", "\u201c", "\u201d")
    assert segments_of("plain €").forcing == ()


@given(st.text(max_size=400))
def test_the_segments_hold_the_text_and_no_more_than_needed(text):
    found = segments_of(text)
    size = {GSM: (160, 153), UCS2: (70, 67)}[found.encoding][found.count > 1]
    assert 0 <= found.left < size or not text
    room = found.count * size - found.left
    assert found.units <= room < found.units + found.count  # at most a unit of each part stays empty
    if found.encoding is UCS2:
        assert found.units == len(text.encode("utf-16-be", "surrogatepass")) // 2


def test_a_clause_tells_how_many_the_limit_and_why():
    assert excess("a" * 160, 1) == ""
    assert excess("a" * 161, 1) == "2 segments (161 GSM characters), more than the limit of 1"
    assert excess("ж\u200b" + "a" * 70, 1) == (
        "2 segments (72 UCS-2 characters), more than the limit of 1; UCS-2 is needed for ж (U+0436), (U+200B)"
    )
    assert excess("世界人权宣言在", 0).endswith(" and 2 more")
