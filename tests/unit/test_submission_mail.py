"""A mail that its author finished: what of it goes out, what does not, and what is refused."""

from __future__ import annotations

import email
from datetime import UTC, datetime, timedelta
from email import policy
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from waypost import Priority
from waypost.channels.memory import MemoryChannel
from waypost.config.mail import allowed_senders
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.flows.message import TYPE, Mail
from waypost.ledger import open_ledger
from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.mail.raw_message import parse
from waypost.mail.relay import passed_on
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.rendering.messages import render_one

pytestmark = pytest.mark.anyio

ID = UUID(int=7)
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
SHOP = Sender.parse("Shop <s@a.example>")
BODY = b"Hello\r\n..dots\r\n\r\n\xe4 as a byte\r\n"
HEAD = (
    b"Return-Path: <s@a.example>\r\n"
    b"Received: from inside.a.example\r\n\tby outside.a.example; Mon, 2 Mar 2026 00:00:00 +0000\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256;\r\n b=x\r\n"
    b"From: Billing <billing@a.example>\r\n"
    b"To: Ada <ada@b.example>,\r\n Bob <bob@b.example>\r\n"
    b"Bcc: eve@b.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Sun, 1 Mar 2026 08:00:00 +0100\r\n"
    b"Message-ID: <1@app.a.example>\r\n"
    b"X-Order: 7\r\n"
    b"X-Waypost-Type: message\r\n"
)
WRITTEN = HEAD + b"\r\n" + BODY


def sent(mail=WRITTEN):
    return passed_on(parse(mail), ID, SHOP, MOMENT)


def head_of(mail):
    return [
        line.partition(b":")[0] for line in mail.partition(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] != b" "
    ]


def test_the_body_is_what_it_was_byte_for_byte():
    assert sent().partition(b"\r\n\r\n")[2] == BODY


def test_what_readers_are_to_see_stays_as_it_was_written_and_the_rest_goes():
    assert head_of(sent()) == [b"From", b"To", b"Subject", b"Date", b"X-Order", b"Message-ID", b"References"]
    assert b"To: Ada <ada@b.example>,\r\n Bob <bob@b.example>\r\n" in sent()
    assert b"Date: Sun, 1 Mar 2026 08:00:00 +0100\r\n" in sent()


def test_the_message_id_is_the_notifications_and_the_authors_is_referred_to():
    found = email.message_from_bytes(sent(), policy=policy.default)
    assert found["Message-ID"] == f"<{ID.hex}@a.example>"
    assert found["References"] == "<1@app.a.example>"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"References: <a@x>\r\n <b@x>\r\n", "<a@x> <b@x> <1@x>"),
        (b"In-Reply-To: <a@x>\r\n", "<a@x> <1@x>"),
        (b"", "<1@x>"),
    ],
)
def test_a_conversation_stays_one(before, after):
    mail = b"From: s@a.example\r\nMessage-ID: <1@x>\r\n" + before + b"\r\n"
    assert email.message_from_bytes(sent(mail), policy=policy.default)["References"] == after


def test_a_date_is_given_where_there_is_none_and_the_same_at_every_attempt():
    mail = b"From: s@a.example\r\n\r\nx\r\n"
    assert sent(mail) == sent(mail)
    assert b"Date: Sun, 01 Mar 2026 00:00:00 +0000\r\n" in sent(mail)
    assert b"References" not in sent(mail)


FIELDS = [
    "Date", "Message-ID", "Subject", "To", "Cc", "Sender", "Reply-To", "References", "In-Reply-To",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "X-Waypost-Type",
    "X-Waypost-Data",
]  # fmt: skip


@pytest.mark.parametrize("blanks", ["", " ", " \t "])
@pytest.mark.parametrize("name", FIELDS)
def test_a_field_without_a_value_is_as_if_it_were_not_there(name, blanks):
    mail = b"From: s@a.example\r\n\r\nx\r\n"
    assert sent(f"{name}:{blanks}\r\n".encode() + mail) == sent(mail)


@pytest.mark.parametrize("name", FIELDS[:4])
def test_a_field_without_a_value_beside_the_same_with_one_is_no_second(name):
    mail = f"{name}:\r\n".encode() + WRITTEN
    assert sent(mail) == sent(WRITTEN)


def test_an_empty_from_is_a_missing_from():
    with pytest.raises(ValueError, match="From is missing"):
        parse(b"From: \r\nTo: ada@b.example\r\n\r\n")


def test_the_ledger_keeps_no_bcc():
    kept = Mail(mime=WRITTEN.decode("latin-1"))
    assert "eve" not in kept.mime
    assert Mail(mime=kept.mime) == kept
    assert TYPE.finished(kept).endswith(b"\r\n\r\n" + BODY)


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (b"", "From"),
        (b"\r\nFrom: s@a.example\r\n\r\n", "From"),
        (b"From: s@a.example\n\nx", "CRLF"),
        (b"From: s@a.example\r\n\r\nx\ny\r\n", "CRLF"),
        (b"From: s@a.example\r\n\r\nx\ry\r\n", "CRLF"),
        (b"From: s@a.example\r\n\r\n\0\r\n", "NUL"),
        (b"From: s@a.example\r\n\r\n" + b"x" * 999 + b"\r\n", "998"),
        (b"From: s@a.example\r\nSubject: \xfc\r\n\r\n", "ASCII"),
        (b"From: s@a.example\r\nSubject: \x07\r\n\r\n", "control"),
        (b"From: s@a.example\r\n \t\r\nSubject: x\r\n\r\n", "blanks"),
        (b"From: s@a.example\r\nno field\r\n\r\n", "field 2"),
        (b" From: s@a.example\r\n\r\n", "field 1"),
        (b"From : s@a.example\r\n\r\n", "field 1"),
        (b"From: s@a.example\r\nFROM: t@a.example\r\n\r\n", "from twice"),
        (b"From: s@a.example\r\nSubject: a\r\nsubject: b\r\n\r\n", "subject twice"),
        (b"From: s@a.example, t@a.example\r\n\r\n", "From"),
        (b"From: nobody\r\n\r\n", "From"),
        (b"From: =?utf-8?q?a=0D=0ABcc:_e=40x.example?= <s@a.example>\r\n\r\n", "control"),
        (b"From: s@a.example\r\n" + b"X: a\r\n" * 1000 + b"\r\n", "1,000 fields"),
        (b"From: =?utf-8?q?a?=" + b"\r\n =?utf-8?q?a?=" * 70 + b" <s@a.example>\r\n\r\n", "998"),
        (b"From: s@a.example\r\n\r\n" + (b"x" * 998 + b"\r\n") * 3 + b"x" * 999 + b"\r\n", "998"),
        (b"From: s@a.example\r\n\r\n" + b"x" * 999, "998"),
        (b"From: s@a.example\r\nX: " + b"x" * 900 + b"\r\n" + b"Y: y\r\n" * 30_000 + b"\r\n", "bytes"),
    ],
)
def test_what_is_no_mail_is_refused_and_told_why(mail, why):
    with pytest.raises(ValueError, match=why):
        parse(mail)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n" * 600])
def test_a_line_of_998_may_go(end):
    mail = b"From: s@a.example\r\n\r\n" + b"\r\n".join([b"x" * 998, b"", b"y", b"z" * 998]) + end
    assert bytes(parse(mail)) == mail


def test_a_letter_that_is_no_byte_is_refused():
    with pytest.raises(ValueError, match="stands for a byte"):
        Mail(mime="From: s@a.example\r\n\r\n€")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("s@a.example", True),
        ("anybody@A.EXAMPLE", True),
        ("x@sub.a.example", False),
        ("one@other.example", True),
        ("two@other.example", False),
        ("x@whole.example", True),
        ("x@a.example.evil.example", False),
        ("", False),
    ],
)
def test_whom_a_mail_may_be_from(address, allowed):
    settings = Settings(sender="Shop <s@a.example>", submission_senders="one@other.example, Whole.example")
    assert allowed_senders(settings).allow([address]) is allowed


@pytest.mark.parametrize("text", ["no domain", "a@", "@a.example", "a@b@c.example"])
def test_a_setting_that_names_nobody_is_told(text):
    with pytest.raises(ValueError, match="submission_senders"):
        Settings(submission_senders=text)


@pytest.fixture
async def runtime(tmp_path):
    settings = Settings(home=tmp_path / "home", templates=tmp_path, sender="Shop <s@a.example>")
    runtime = Runtime(settings, open_ledger(settings.ledger_url, settings.lease), [MemoryChannel()])
    yield runtime
    await runtime.close()


def notification(mail=WRITTEN):
    person = ResolvedRecipient("ada", "ada@b.example", None, "Ada", "en", "UTC")
    data = {"mime": mail.decode("latin-1")}
    ends = MOMENT + timedelta(hours=1)
    return Notification(ID, "message", Priority.NORMAL, person, data, 1, MOMENT, ends)


async def test_it_is_rendered_without_a_template_and_signed_as_every_mail(runtime):
    runtime.signers = [Signer("a.example", "s1", Ed25519PrivateKey.generate())]
    found = render_one(runtime.renderer(TYPE), TYPE, notification()).messages["email"]
    assert (found.title, found.address) == ("Grüße", "ada@b.example")
    assert found.content.partition(b"\r\n\r\n")[2] == BODY
    record = runtime.signers[0].record.encode()
    assert dkim.verify(found.content, dnsfunc=lambda *_, **__: record)
    assert found.content.count(b"DKIM-Signature") == 1


async def test_one_with_empty_fields_has_each_field_once_and_a_signature_that_holds(runtime):
    runtime.signers = [Signer("a.example", "s1", Ed25519PrivateKey.generate())]
    empty = b"".join(f"{name}:\r\n".encode() for name in FIELDS)
    found = render_one(runtime.renderer(TYPE), TYPE, notification(empty + b"From: s@a.example\r\n\r\nx\r\n"))
    content = found.messages["email"].content
    assert sorted(set(head_of(content))) == sorted(head_of(content))
    record = runtime.signers[0].record.encode()
    assert dkim.verify(content, dnsfunc=lambda *_, **__: record)


async def test_one_from_somebody_else_fails_at_the_last_moment_too(runtime):
    failed = render_one(
        runtime.renderer(TYPE), TYPE, notification(WRITTEN.replace(b"billing@a.", b"billing@c."))
    )
    assert failed.messages == {}
    assert "WAYPOST_SUBMISSION_SENDERS" in failed.error


async def test_facts_that_are_no_mail_any_more_fail_alone(runtime):
    failed = render_one(runtime.renderer(TYPE), TYPE, notification(b"nothing"))
    assert (
        failed.error
        == "its facts no longer fit the type: mime: field 1 of its header does not have the form Name: value"
    )
