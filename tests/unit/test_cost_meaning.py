"""Odd mails, doubled up to ten megabytes: to compare one costs as much as it is long, and under a second."""

from __future__ import annotations

import encodings
from dataclasses import replace

import pytest
from support.stopwatch import Spent, judge, slowness, spent

from waypost.mail.canonical import meaning
from waypost.mail.raw_message import parse

pytestmark = pytest.mark.long

LARGEST = 10_000_000  # bytes
SECONDS = 1.0
HEAD = b"From: shop@a.example\r\nSubject: s\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
FILE = b"Content-Disposition: attachment; filename="
BASE64, QUOTED = (b"Content-Transfer-Encoding: " + one for one in (b"base64", b"quoted-printable"))

PIECES = b"".join(b";\r\n name*%d*=%%41" % number for number in range(45))


def opened(levels: int) -> bytes:
    each = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
    return b"".join(each % (level, level) for level in range(levels))


def part(head: bytes) -> bytes:
    return MIXED + b"--a\r\n" + head


def text_in(charset: bytes) -> bytes:
    return part(b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\n")


def named(value: bytes) -> bytes:
    return b"--a\r\nContent-Type: text/plain" + value + b"\r\n" + FILE + b"a" + value + b"\r\n\r\n"


ODD = {  # how a mail goes on after its first fields, and what fills it up
    "nested 3 times": (opened(3) + b"\r\n", b"\r\n"),
    "nested 10 times": (opened(10) + b"\r\n", b"a\r\n"),
    "nested 300 times": (opened(300) + b"\r\n", b"a\r\n"),
    "a thousand multiparts": (MIXED + (b"--a\r\n" + opened(1)) * 499, b"\r\n"),
    "headers in a part": (part(b""), b"X: a\r\n"),
    "short headers in a part": (part(b""), b"a:\r\n"),
    "types of a part": (part(b""), b"Content-Type:\r\n"),
    "a giant header": (part(b"X: a\r\n"), b" a\r\n"),
    "a giant type": (part(b"Content-Type: text/plain\r\n"), b" " + b";a=b" * 200 + b"\r\n"),
    "a giant name": (part(FILE + b"a\r\n"), b" =?utf-8?q?=41?=\r\n"),
    "RFC 2047 words": (part(b"Subject: a\r\n"), b" =?utf-8?q?=41?=\r\n"),
    "empty lines": (b"\r\n", b"\r\n"),
    "tiny lines": (part(b"\r\n"), b"a\r\n"),
    "boundaries": (MIXED, b"--a\r\n\r\n"),
    "a thousand parts": (MIXED + b"--a\r\n\r\n" * 900, b"a\r\n"),
    "parameters": (MIXED + named(b"\r\n " + b";a=b" * 12 + b';a="\r\n ' + b"a;=" * 20) * 900, b"a\r\n"),
    "pieces of a name": (MIXED + named(PIECES) * 900, b"a\r\n"),
    "messages in messages": (b"", b"Content-Type: message/rfc822\r\n\r\n"),
    "a long message in messages": (b"Content-Type: message/rfc822\r\n\r\n" * 9 + b"\r\n", b"a\r\n"),
    "a delivery report": (part(b"Content-Type: message/delivery-status\r\n\r\n"), b"a:\r\n\r\n"),
    "base64, a letter a line": (part(BASE64 + b"\r\n\r\n"), b"Q\r\n"),
    "base64 that ends on each line": (part(BASE64 + b"\r\n\r\n"), b"QQ==\r\n"),
    "base64 that is none": (part(BASE64 + b"\r\n\r\n"), b"%\r\n"),
    "soft line ends": (part(QUOTED + b"\r\n\r\n"), b"=\r\n"),
    "uuencode": (part(b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 666 a\r\n"), b"!!\r\n"),
    "not in its charset": (text_in(b"utf-16-be"), b"\xd8\x01" * 400 + b"\r\n"),
    "escapes of a charset": (text_in(b"iso-2022-kr"), b"\x1b$)C\x0e!!\x0f\r\n"),
}  # fmt: skip


def filled(front: bytes, unit: bytes, size: int) -> bytes:
    return HEAD + front + unit * max(1, (size - len(front)) // len(unit))


def act(front: bytes, unit: bytes, size: int) -> Spent:
    """It is done in a thread, which holds no loop."""
    mail = parse(filled(front, unit, size))
    return replace(spent(lambda: meaning(mail)), held=0.0)


@pytest.mark.long
def test_the_time_grows_with_the_size():
    judge((name, lambda n, o=odd: act(*o, n), LARGEST) for name, odd in ODD.items())


def test_no_mail_takes_a_second():
    took = {name: act(*odd, LARGEST).seconds for name, odd in ODD.items()}
    limit = SECONDS * slowness()
    assert {name: seconds for name, seconds in took.items() if seconds > limit} == {}


def test_charsets_that_no_mail_is_written_in_leave_nothing_behind():
    odd = (b"; charset*=nosuch%d''a; name*=no%d''a; filename*=not%d''a" % (n, n, n) for n in range(100))
    kept = vars(encodings)["_cache"]
    known = len(kept)
    meaning(parse(HEAD + MIXED + b"".join(map(named, odd))))
    assert len(kept) == known
