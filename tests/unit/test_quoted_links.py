"""The links of a message's facts, found in a provider's reply."""

from __future__ import annotations

import base64
import json
from binascii import b2a_qp
from html import escape
from urllib.parse import quote

import pytest

from waypost.policy.redaction.quoted_links import QuotedLinks
from waypost.policy.redaction.redact import Redaction, may_be_cut

LINK = "https://shop.example/r\u00e9set?user=1&token=k4n4ry"
OTHER = "https://shop.example/terms"
LONG = "the message was taken for spam by a filter " * 8


def found(words, *links):
    quoted = QuotedLinks(words, cut=may_be_cut(words))
    for link in links or (LINK, OTHER):
        quoted.look_up(link)
    return list(quoted.found)


def in_base64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "written",
    [
        LINK,
        LINK.upper(),
        f"{LINK[:30]} {LINK[30:]}",
        quote(LINK),
        quote(LINK, safe=""),
        escape(LINK),
        json.dumps(LINK),
        b2a_qp(LINK.encode()).decode(),
        *(in_base64(f"{before}{LINK} and more") for before in ("", "a", "ab", "abc")),
    ],
)
def test_a_link_is_found_however_it_is_written_and_can_be_removed(written):
    words = f"550 spam: {written} was seen"
    assert found(words) == [LINK]
    assert "k4n4ry" not in Redaction([LINK])(words).casefold()
    assert "***" in Redaction([LINK])(words)


@pytest.mark.parametrize("written", [LINK, quote(LINK), quote(LINK, safe=""), json.dumps(LINK)[1:-1]])
@pytest.mark.parametrize("left", range(25, 40))
def test_the_beginning_of_a_link_at_the_end_of_a_reply_is_found(written, left):
    words = LONG + written[:left]
    assert found(words) == [LINK]
    assert Redaction(found(words))(words) == LONG + "***"


@pytest.mark.parametrize("before", ["", "x", "xy"])
@pytest.mark.parametrize("short", range(3))
@pytest.mark.parametrize("after", ["", "."])
def test_a_link_is_found_in_base64_wherever_the_last_group_ends(before, short, after):
    link = LINK[: len(LINK) - short]
    coded = in_base64(f"{before}{link}{after}")
    assert found(f"550 rejected: {coded}", link) == [link]
    shown = Redaction([link])(f"550 rejected: {coded}")
    assert len(shown) < len("550 rejected: ") + 12


def test_a_beginning_that_many_links_share_needs_only_one_of_them():
    links = [f"{OTHER}/{number}" for number in range(1000)]
    assert found(LONG + OTHER[:-2], *links) == links[:1]


@pytest.mark.parametrize(
    "words", ["Ok: queued as 4F/x9", "550 5.1.1 no such user, see https://support.example/mail", "", "100%"]
)
def test_a_reply_without_a_link_of_the_facts_names_none(words):
    assert found(words) == []


@pytest.mark.parametrize("words", ["Ok: queued as 4F/x9", "2.0.0 Ok: queued as 4ZBcX12345", "100%"])
def test_most_replies_need_no_search(words):
    assert not QuotedLinks(words, cut=False).sought


def test_a_link_that_is_often_in_the_facts_counts_once():
    quoted = QuotedLinks(f"spam: {LINK}", cut=False)
    for _ in range(1000):
        quoted.look_up(LINK)
    assert not quoted.too_many
