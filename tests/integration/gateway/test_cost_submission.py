"""Every line and every header that SMTP submission reads, doubled: the cost grows as the size does, and
nothing keeps the event loop for longer than 50 ms."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import pytest
from support.costly_texts import IN_A_HEAD, filled
from support.measured_gateway import Cases
from support.rings import ring
from support.smtp_submission import SENDER, plain, posting
from support.stopwatch import Loop, Spent, in_shares, judge

from waypost.config.settings import with_async_driver
from waypost.gateway.smtp import session
from waypost.gateway.smtp.envelope import MOST_RECIPIENTS
from waypost.gateway.smtp.submission import IN_A_THREAD
from waypost.ledger import open_ledger
from waypost.mail.raw_message import LARGEST_HEAD, MOST_FIELDS

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)]

MOST = 480_000  # bytes of a mail
MAIL = f"MAIL FROM:<{SENDER}>\r\n".encode()
RCPT = b"RCPT TO:<ada@a.example>\r\n"
FROM, TWICE = f"From: {SENDER}\r\n".encode(), b"Message-ID: <1@a.example>\r\n"
FIELD = LARGEST_HEAD * 9 // 10
_WHOLE = re.compile(rb"(?:\A|\r\n)\d{3}(?: [^\r]*)?\r\n\Z")


@dataclass
class Submitter:
    """A session that has shown its key, begun anew whenever it ended."""

    loop: Loop
    port: int
    key: str
    _open: socket.socket | None = None

    def spent(self, *parts: bytes, end: re.Pattern[bytes] = _WHOLE) -> Spent:
        """What the parts cost, each sent once the one before was answered. end: of each part's answers."""
        self._begin()
        return self.loop.spent(lambda: [self._ask(part, end) for part in parts])

    def mail(self, mail: bytes) -> Spent:
        return self.spent(MAIL, RCPT, b"DATA\r\n", mail + b"\r\n.\r\n")

    def _begin(self) -> None:
        if self._open is None:
            self._open = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            self._ask(b"")
            self._ask(b"EHLO a\r\n")
            assert b"235" in self._ask(plain(self.key))
        elif b"250" not in self._ask(b"RSET\r\n"):
            self._begin()

    def _ask(self, part: bytes, end: re.Pattern[bytes] = _WHOLE) -> bytes:
        heard = b""
        try:
            if self._open is None:
                return b""
            self._open.sendall(part)
            while not end.search(heard):
                if not (more := self._open.recv(65536)):
                    raise ConnectionError
                heard += more
        except ConnectionError:
            self.close()
        return heard

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None


@asynccontextmanager
async def over(database: str):
    """Submission over the SQLite file that `database` is the URL of, and the text of a key."""
    ledger = open_ledger(with_async_driver(database), ring=ring)
    async with posting(ledger, most=MOST) as post:
        yield post.port, await post.key()
    await ledger.close()


@contextmanager
def submitting(database: str) -> Iterator[Submitter]:
    with Loop() as loop:
        submitter = Submitter(loop, *loop.enter(over(database)))
        submitter.mail(whole(b""))
        yield submitter
        submitter.close()


@pytest.fixture
def submitter(database: str) -> Iterator[Submitter]:
    with submitting(database) as running:
        yield running


def whole(fields: bytes, body: bytes = b"a", sender: bytes = SENDER.encode()) -> bytes:
    return b"From: " + sender + b"\r\n" + fields + b"\r\n" + body


COMMANDS = (
    "{}", "EHLO {}", "AUTH PLAIN {}", "MAIL FROM:<{}>", "MAIL FROM:<@{}:a@a.example>", "RCPT TO:{}",
    f"MAIL FROM:<{SENDER}> {{}}", f"MAIL FROM:<{SENDER}> SIZE={{}}", "NOOP {}", "VRFY {}",
)  # fmt: skip


def of_commands(submitter: Submitter) -> Cases:
    for command in COMMANDS:
        for shape in IN_A_HEAD:
            yield (
                f"{command} of {shape!r}",
                lambda n, c=command, s=shape: submitter.spent(c.format(filled(s, n)).encode() + b"\r\n"),
                session.MOST_IN_A_COMMAND - 60,
            )
    for shape in ("a", "a@", "(", '"', "a.", "@"):
        yield (
            f"RCPT of {shape!r}",
            lambda n, s=shape: submitter.spent(MAIL, f"RCPT TO:<{filled(s, n)}@a.example>\r\n".encode()),
            session.MOST_IN_A_COMMAND - 60,
        )
    yield "a line without an end", lambda n: submitter.spent(b"a" * n), 1_000_000
    at_once = re.compile(rb"^221 .*\r\n", re.MULTILINE)
    yield (
        "commands at once",
        lambda n: submitter.spent(b"NOOP\r\n" * (n - 1) + b"QUIT\r\n", end=at_once),
        20_000,
    )


@in_shares
def test_every_command(submitter, every):
    judge(of_commands(submitter), every)


NAMES = (
    "From", "Sender", "To", "Subject", "Date", "Message-ID", "References", "Content-Type",
    "Content-Disposition", "X-Waypost-Type", "X-Waypost-Data", "X-Waypost-Other",
)  # fmt: skip
IN_A_FIELD = (
    "a", ".", "@", "(", "()", "<a>", '"', "\\", "%41", "=?utf-8?q?=41?= ", "=?utf-8?b?QQ==?= ", "=?",
    "a@a.example,", "; a*0=a", "[", "1", ": ;", "\t",
)  # fmt: skip


def folded(name: str, shape: str, size: int) -> bytes:
    """A field of `size` bytes in lines of 900 at most."""
    text = filled(shape, size)
    lines = [text[at : at + 900] for at in range(0, len(text), 900)]
    return f"{name}: a".encode() + "\r\n a".join(lines).encode() + b"\r\n"


def in_a_line(name: str, shape: str, size: int) -> bytes:
    return f"{name}: {filled(shape, size)}\r\n".encode()


def of_fields(submitter: Submitter) -> Cases:
    for name in NAMES:
        others = (b"" if name == "From" else FROM) + (b"" if name == "Message-ID" else TWICE)
        for shape in IN_A_FIELD:
            for how, made, most in (("", folded, FIELD), ("a line of ", in_a_line, 980 - len(name))):
                yield (
                    f"{name} of {how}{shape!r}",
                    lambda n, o=others, f=made, name=name, s=shape: submitter.mail(
                        o + f(name, s, n) + b"\r\na"
                    ),
                    most,
                )


@in_shares
def test_every_field_of_a_mail(submitter, every):
    judge(of_fields(submitter), every)


def lines(size: int) -> bytes:
    return b"a\r\n" * (size // 3)


def parted(kind: bytes, body: bytes, more: bytes = b"") -> bytes:
    """A mail with a Message-ID, whose parts are compared with those of a mail that came before."""
    return whole(TWICE + b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n" + more, body)


MIXED = b"multipart/mixed; boundary=a"
PART, PLAIN = b"--a\r\nContent-Disposition: attachment", b"text/plain"
IN_BASE64, QUOTED = (
    b"Content-Transfer-Encoding: " + one + b"\r\n" for one in (b"base64", b"quoted-printable")
)


def nested(count: int) -> bytes:
    part = b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n"
    parts = b"".join(part % (number, number + 1) for number in range(count))
    return parted(b"multipart/mixed; boundary=b0", parts + b"a\r\n" * 100_000)


def pieces(front: bytes, count: int) -> bytes:
    """`front` with so many parameters, a line each, that are pieces of another."""
    return front + b"".join(b";\r\n filename*%d=a" % number for number in range(count))


BODIES = {
    "parts": (lambda n: parted(MIXED, b"--a\r\n\r\na\r\n" * n + b"--a--"), 45_000),
    "parts with a name": (lambda n: parted(MIXED, (PART + b"; filename=a\r\n\r\na\r\n") * n), 8_000),
    "messages": (lambda n: parted(MIXED, b"--a\r\nContent-Type: message/rfc822\r\n\r\na\r\n" * n), 19),
    "nested parts": (nested, 40),
    "boundaries that are none": (lambda n: parted(MIXED, b"--aa\r\n" * n), 75_000),
    "dashes": (lambda n: parted(MIXED, (b"-" * 900 + b"\r\n") * n), 500),
    "lines": (lambda n: parted(PLAIN, b"a\r\n" * n), 150_000),
    "empty lines": (lambda n: parted(PLAIN, b"\r\n" * n), 230_000),
    "long lines": (lambda n: parted(PLAIN, (b"a" * 990 + b"\r\n") * n), 480),
    "a line too long": (lambda n: parted(PLAIN, b"a" * n), 470_000),
    "stuffed dots": (lambda n: parted(PLAIN, b"..\r\n" * n), 100_000),
    "more than may be": (lambda n: parted(PLAIN, b"a\r\n" * n), 400_000),
    "base64": (lambda n: parted(PLAIN, b"QUFB\r\n" * n, IN_BASE64), 75_000),
    "quoted": (lambda n: parted(PLAIN, b"=41=\r\n" * n, QUOTED), 75_000),
    "a long charset": (lambda n: parted(b"text/plain; charset=" + b"a" * n, b"a"), 900),
    "parameters": (lambda n: parted(b"text/plain" + b";\r\n a=a" * n, b"a"), 8_000),
    "parameters of a part": (lambda n: parted(MIXED, PART + b"; a=a" * n + b"\r\n\r\na"), 180),
    "a name of pieces": (lambda n: parted(MIXED, pieces(PART, n) + b"\r\n\r\na"), 20_000),
    "a type of pieces": (lambda n: parted(pieces(PLAIN, n), b"a"), 5_000),
    "fields": (lambda n: whole(b"X-A: a\r\n" * n), MOST_FIELDS - 5),
    "fields of one name": (lambda n: whole(b"To: a@a.example\r\n" * n), MOST_FIELDS - 5),
    "fields of a part": (lambda n: parted(MIXED, b"--a\r\n" + b"X-A: a\r\n" * n + b"\r\na"), 50_000),
    "folds": (lambda n: whole(b"Subject: a" + b"\r\n a" * n + b"\r\n"), FIELD // 4),
    "comments": (lambda n: whole(b"", sender=b"(a)" * n + SENDER.encode()), 300),
    "nested comments": (lambda n: whole(b"", sender=b"(" * n + b")" * n + SENDER.encode()), 480),
    "references": (lambda n: whole(b"References:" + b"\r\n <1@a.example>" * n + b"\r\n"), FIELD // 17),
}


def of_mails(submitter: Submitter) -> Cases:
    """Each as large as a mail may be, and as the largest that the loop itself reads."""
    for name, (made, limit) in BODIES.items():
        for of, most in (("", limit), (" in the loop", max(1, limit * IN_A_THREAD // MOST))):
            yield name + of, lambda n, made=made: submitter.mail(made(n)), most


def test_what_a_mail_holds(submitter):
    judge(of_mails(submitter))


def test_for_how_many_a_mail_is(submitter):
    def act(count, mail):
        return submitter.spent(
            MAIL, *(f"RCPT TO:<a{n}@a.example>\r\n".encode() for n in range(count)), b"DATA\r\n", mail
        )

    judge(
        (
            f"recipients of {size:,} bytes",
            lambda n, size=size: act(n, whole(TWICE, lines(size)) + b"\r\n.\r\n"),
            most,
        )
        for size, most in (
            (1_000, MOST_RECIPIENTS),
            (IN_A_THREAD - 500, MOST_RECIPIENTS),
            (MOST - 1000, MOST_RECIPIENTS),
        )
    )


TOGETHER = (b"NOOP\r\n", b"EHLO a\r\n", b"RSET\r\n", b"MAIL FROM:<a>\r\n", b"A\r\n")


def of_floods(submitter: Submitter) -> Cases:
    for command in TOGETHER:
        yield (
            f"{command!r} together, from a client without a key",
            lambda n, c=command: submitter.loop.spent(lambda: flooded(submitter.port, c * n)),
            20_000,
        )
        yield (
            f"{command!r} together, from a client with a key",
            lambda n, c=command: submitter.spent(c * (n - 1) + b"QUIT\r\n"),
            20_000,
        )


def flooded(port: int, commands: bytes) -> None:
    """Send it all in one go, and read until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, suppress(ConnectionError):
        client.sendall(commands)
        while client.recv(65536):
            pass


def test_commands_that_come_together(submitter):
    judge(of_floods(submitter))


def test_a_client_without_a_key_is_left_after_some_commands(submitter):
    with socket.create_connection(("127.0.0.1", submitter.port), timeout=30) as client:
        client.sendall(b"NOOP\r\n" * session.MOST_WITHOUT_KEY + b"NOOP\r\n")
        heard = b""
        while more := client.recv(65536):
            heard += more
    assert heard.count(b"\r\n250 ") == session.MOST_WITHOUT_KEY
    assert heard.endswith(b"421 4.7.0 too many commands without authentication\r\n")
