"""Replies that quote a mail whose author composed it: a secret, by each way to quote it."""

import base64
import html
import quopri
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.quotes import SLICE, readings, suspects, without_queue_id
from waypost.policy.redaction.redact import without

LINK = "https://shop.example/reset/Zk3abcdefg?token=IjAxOTk5&to=ada"
BARE = LINK.removeprefix("https://")
CODES = {
    "481529": ("481529", "481 529", "481-529", "4 8 1 5 2 9", "481.529", "x481529y", "(481529)."),
    "7315": ("7315", "73-15", "73 15"),
    "A7K9-QX2P": ("A7K9-QX2P", "a7k9qx2p", "A7K9 QX2P", "A7K9.QX2P", "code:A7K9_QX2P!"),
    "ABCD1234": ("ABCD1234", "abcd-1234", "ABCD 1234"),
    LINK: (
        LINK, BARE, BARE.upper(), quote(LINK, safe=""), quote(quote(LINK, safe=""), safe=""),
        html.escape(LINK),        f"<{LINK}>", f'"{BARE}",', f"url={LINK}.", BARE[:26], f"{BARE}:refused",
    ),
}  # fmt: skip
HEAD = b"Subject: Reset\r\nContent-Type: text/plain\r\n\r\n"
PARTS = ("481529", "7315", "a7k9", "qx2p", "abcd", "1234", "zk3", "ijax")
TEXT = "Dear Ada,\r\nyour codes: {} or 7315, A7K9-QX2P. ABCD1234 too. Reset:\r\n{}\r\nBye\r\n"
BODY = TEXT.format("481529", LINK)
BY_NUMBERS = "".join(f"&#{ord(one)};" if one.isalnum() else one for one in BODY)


def lines(raw: bytes) -> bytes:
    return base64.encodebytes(raw).replace(b"\n", b"\r\n")


def in_qp(raw: bytes) -> bytes:
    return quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


WRITTEN = {
    "as it is": BODY.encode(),
    "with spaces in the code": TEXT.format("481 529", LINK).encode(),
    "html": html.escape(BODY).encode(),
    "html by numbers": BY_NUMBERS.encode(),
    "a link inside a link": TEXT.format("481529", f"https://l.example/?u={quote(LINK, safe='')}").encode(),
    "quoted-printable": in_qp(BODY.encode()),
    **{f"base64 {name}": lines(BODY.encode(name)) for name in ("utf-8", "utf-16", "utf-16-be", "utf-32")},
    **{f"base64 {name}": lines(("Ваш код: " + BODY).encode(name)) for name in ("koi8-r", "utf-16-le")},
    "base64 utf-16, html by numbers": lines(BY_NUMBERS.encode("utf-16-le")),
    "quoted-printable utf-16": in_qp(BODY.encode("utf-16-le")),
    "base64 iso-2022-jp": lines(("コード: " + BODY).encode("iso-2022-jp")),
}


def kept(words: str, body: bytes, subject: str = "Reset") -> str:
    found, read = suspects(words), [*readings(HEAD + body, subject)]
    quoted = [one for one in found if any(one.stands_in(reading) for reading in read)]
    return without(words, [(one.begin, one.end) for one in quoted])


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_secret_is_hidden_however_it_is_quoted(written):
    for said in (said for spellings in CODES.values() for said in spellings):
        shown = kept(f"554 5.7.1 spam ({said}) refused", written)
        assert shown.startswith("554 5.7.1 spam "), said
        assert shown.endswith("refused"), said
        letters = "".join(filter(str.isalnum, shown.removeprefix("554 5.7.1 spam"))).lower()
        assert not [part for part in PARTS if part in letters], said


@pytest.mark.parametrize(
    "words",
    [
        "5.7.1 Message refused: your codes reset Ada too often",
        "550-5.7.26 blocked by policy 550 5.7.1",
        "Client host [192.0.2.17] blocked using zen.spamhaus.org; see https://www.spamhaus.org/query/192.0.2.17",
        "[2001:db8::25] and 2001:db8:0:0:0:0:0:25 are on our blocklist",
        "4.7.1 greylisted, try again in 300 s (id 4ZBcX12345)",
        "invalid base64 in a text of utf-8, rsa-sha256 failed at mx01.mail.example",
        "see https://help.example/554 or call 9021",
    ],
)
def test_the_reason_of_a_refusal_stays_readable(words):
    body = BODY.encode() + b"192.0.2.17 192.0.2.18 2001:db8::25 2001:db8:0:0:0:0:0:25 571 5726 550"
    assert kept(words, body) == words


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("Ok: queued as 4ZBcX12345", "Ok: queued as 4ZBcX12345"),
        ("OK id=1rAbCd-0003xY-2k", "OK id=1rAbCd-0003xY-2k"),
        ("OK 1764400000 d2e1a72fcca58-7b0123 - gsmtp", "OK 1764400000 d2e1a72fcca58-7b0123 - gsmtp"),
        ("3AT1a2b3c4d5 Message accepted for delivery", "3AT1a2b3c4d5 Message accepted for delivery"),
        ("kept in memory", "kept in memory"),
        (f"queued as 481529, from {BARE}", "queued as ***, from ***"),
    ],
)
def test_of_an_acceptance_the_id_of_the_queue_is_kept_and_nothing_else_that_may_be_a_secret(words, shown):
    hidden = without_queue_id(suspects(words), words)
    assert without(words, [(one.begin, one.end) for one in hidden]) == shown


@pytest.mark.parametrize("across", range(1, 6))
def test_a_code_across_two_slices_is_found(across):
    padding = b"w" * (SLICE - len(HEAD) - across)
    assert kept("spam: 481-529", padding + b"481529 and more") == "spam: ***"


def test_a_code_across_two_slices_of_base64_is_found():
    for at in range(23_600, 24_000, 4):
        assert kept("spam: 481-529", lines(b"w" * at + b"481529" + b"x" * 60_000)) == "spam: ***", at


def test_the_subject_is_read_too():
    assert kept("no 90217", b"", "Your code: 90217") == "no ***"


@given(st.text(max_size=40), st.from_regex(r"[A-Z0-9]{4}-?[0-9]{4}", fullmatch=True), st.sampled_from("- ._"))
def test_no_text_around_a_code_and_no_separator_shows_it(before, code, between):
    said = f"{before} {code[:4]}{between}{code[-4:]} is spam"
    assert code[-4:] not in kept(said, f"code {code}\r\n".encode()).replace("***", "").removeprefix(before)
