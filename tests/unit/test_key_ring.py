"""Sealed texts: each opens in its row alone, under the key that it names, and a fault says what to do."""

import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.system.key_ring import DataKey, KeyRing, NotOpened, derived, is_sealed, parse, written

OLD, NEW = DataKey("2026", bytes(32)), DataKey("2027", bytes(range(32)))
RING = KeyRing([NEW, OLD])
ROW = b"email@recipients\0shop\0ada"


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_what_is_sealed_opens_in_its_row_alone(value, row):
    sealed = RING.seal(value, row)
    assert is_sealed(sealed)
    assert RING.open(sealed, row) == value
    with pytest.raises(NotOpened):
        RING.open(sealed, row + b"x")


def test_the_newest_key_seals_and_the_older_ones_still_open():
    before = KeyRing([OLD]).seal(b"ada", ROW)
    assert RING.open(before, ROW) == b"ada"
    assert RING.seal(b"ada", ROW).startswith("sealed:1:2027:")
    assert before.startswith("sealed:1:2026:")


def test_equal_values_are_not_alike_when_they_are_sealed():
    assert len({RING.seal(b"ada", ROW) for _ in range(1000)}) == 1000


def test_a_shared_text_opens_in_every_row_of_its_column_and_in_no_other_column():
    sealed = RING.seal(b"a long mail", b"data@notifications\0one", shared=True)
    assert RING.open(sealed, b"data@notifications\0another") == b"a long mail"
    for row in (b"named@notifications\0one", b"data@notifications\0one"):
        with pytest.raises(NotOpened):
            RING.open(sealed.replace("shared:", ""), row)
    with pytest.raises(NotOpened):
        RING.open(sealed, b"named@notifications\0one")


def test_a_key_that_is_not_there_is_named():
    with pytest.raises(NotOpened, match="key 2027, which this process does not have: add"):
        KeyRing([OLD]).open(RING.seal(b"ada", ROW), ROW)


def test_another_key_with_the_same_id_is_named():
    other = KeyRing([DataKey("2027", b"x" * 32)])
    with pytest.raises(NotOpened, match="cannot be opened with the key 2027"):
        other.open(RING.seal(b"ada", ROW), ROW)


@pytest.mark.parametrize("damage", [lambda text: text[:-8], lambda text: text[:13]])
def test_a_damaged_text_is_not_opened(damage):
    with pytest.raises(NotOpened):
        RING.open(damage(RING.seal(b"ada@a.example", ROW)), ROW)


KEY = b64encode(bytes(range(32))).decode()


def test_a_ring_is_read_as_it_is_written():
    [key] = parse(written(NEW))
    assert (key.id, key.octets) == (NEW.id, NEW.octets)
    assert [key.id for key in parse(f"b:{KEY},\n a:{KEY}\n")] == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it has no key; write id:key"),
        (KEY, "entry 1: write id:key"),
        (f"a:{KEY} A!:{KEY}", "entry 2: write id:key"),
        (f"a:{KEY},a:{KEY}", "entry 2: the id a is there twice"),
        ("a:c2hvcnQ=", "the key a: not 32 octets in base64"),
        ("a:s\u00e9cret-text", "the key a: not 32 octets in base64"),
    ],
)
def test_a_wrong_ring_says_what_is_wrong_and_shows_no_key(text, says):
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        parse(text)
    assert KEY not in str(raised.value)
    assert "cret-text" not in str(raised.value)


def test_a_derived_key_is_the_same_wherever_the_secret_is():
    assert derived(b"a secret of sixteen") == derived(b"a secret of sixteen")
    assert derived(b"a secret of sixteen") != derived(b"another of sixteen..")
    assert b"secret of" not in derived(b"a secret of sixteen").octets


def test_a_key_is_not_shown_by_its_repr():
    assert "octets" not in repr(NEW)
