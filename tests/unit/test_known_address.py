"""One address, masked in every spelling."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from waypost.mail.masking import mask, mask_in
from waypost.policy.redaction.known_address import masked

ADDRESS, IDN, UMLAUT = "pctcanary88@x.example", "canary.1@xn--bcher-kva.example", "j\u00f6rg-canary@x.example"
LONG = "the message was taken for spam by a filter " * 8


def in_base64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "written",
    [
        "pctcanary88@x.example",
        "PCTcanary88@X.Example",
        "pctcanary88%40x.example",
        "pctcanary88%2540x.example",
        "pctcanary88=x.example",
        "pctcanary88%3Dx.example",
        "pctcanary88+40x.example",
        "pctcanary88=40x.example",
        "pctcanary88&#64;x.example",
        "pctcanary88&#x40;x.example",
        "pctcanary88&commat;x.example",
        r"pctcanary88\u0040x.example",
        "pctcanary88 at x.example",
        "pctcanary88(at)x.example",
        "pctcanary88 [AT] x [DOT] example",
        "pctcanary88 x dot example",
        "pctcanary88 @ x. example",
        in_base64(ADDRESS),
    ],
)
def test_every_spelling_of_an_address_is_masked(written):
    said = masked(f"550 no such user, see ?rcpt={written} or ask", ADDRESS)
    assert "canary" not in said
    assert in_base64(ADDRESS)[4:12] not in said
    assert mask(ADDRESS) in said
    assert said.startswith("550 no such user, see ?rcpt=")
    assert said.endswith(" or ask")


@pytest.mark.parametrize("before", ["a", "ab", "abc", "\0"])
def test_an_address_inside_base64_is_masked(before):
    coded = in_base64(f"{before}{ADDRESS} and more")
    assert coded[8:20] not in masked(f"AUTH PLAIN {coded}", ADDRESS)


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (IDN, "canary.1@xn--bcher-kva.example"),
        (IDN, "canary.1@b\u00fccher.example"),
        (IDN, "canary.1@bu\u0308cher.example"),
        (IDN, "canary dot 1 at b\u00fccher dot example"),
        (IDN, quote("canary.1@b\u00fccher.example", safe="")),
        (IDN, json.dumps("canary.1@b\u00fccher.example")),
        (UMLAUT, UMLAUT),
        (UMLAUT, quote(UMLAUT)),
        (UMLAUT, json.dumps(UMLAUT)),
        (UMLAUT, "jo\u0308rg-canary=x.example"),
        ('"canary..1"@x.example', "canary..1@x.example"),
        ('"canary..1"@x.example', '"canary..1"@x.example'),
        ("canary+tag@x.example", "canary%2Btag%40x.example"),
        ("mailto-canary@x.example", "mailto:mailto-canary@x.example"),
    ],
)
def test_addresses_beyond_ascii_and_quoted_ones_are_masked(address, written):
    said = masked(f"no such user: {written}", address)
    assert "canary" not in said
    assert mask(address).strip('"') in said


@pytest.mark.parametrize("address", [ADDRESS, IDN, "ab@x.example", "a@x.example"])
def test_a_masked_address_stays_as_it_is(address):
    said = masked(f"<{address}> is unknown", address)
    assert said == f"<{mask(address)}> is unknown"
    assert mask_in(said) == said


@pytest.mark.parametrize(
    "written", ["pctcanary88%40x.e", "pctcanary88=x.exampl", "pctcanary88@x", "pctcanary88%40"]
)
def test_an_address_that_was_cut_in_two_is_masked(written):
    assert masked(f"{LONG}{written}", ADDRESS, cut=True) == f"{LONG}{mask(ADDRESS)}"


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("5.1.1 <bob@x.example>: no such user", ADDRESS),
        ("via x.example", "a@x.example"),
        ("Panama, x.example", "ma@x.example"),
        ("Ok: queued as 4ZBcX12345", ADDRESS),
        (f"{LONG} pct", ADDRESS),
        ("", ADDRESS),
    ],
)
def test_a_text_without_the_address_stays_as_it_is(words, address):
    assert masked(words, address, cut=True) == words


@pytest.mark.parametrize(
    "address", ["@", "a@", "@x.example", "a@xn--.example", "a@xn--\ud800.example", "..@.."]
)
def test_any_address_may_come(address):
    assert isinstance(masked(f"no such user: {address}", address), str)
