"""Files, inline images, Reply-To and List-Unsubscribe are read back as they were given, by either of the
standard library's policies."""

import email
import re
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.utils import parseaddr, unquote
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waypost import Attachment
from waypost.mail.attachment import AttachmentError
from waypost.mail.build import Extras, Sender, build
from waypost.mail.headers import HeaderError

POLICIES = pytest.mark.parametrize("read_by", [policy.default, policy.compat32], ids=["default", "compat"])
DATE = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = st.text("aZ 09.-=<>&äß語😀\n", max_size=120)
TRICKY = "aZ09 .-_'\"\\;=*%()äß語😀,:/?"
FILE_NAMES = st.text(TRICKY, min_size=1, max_size=120).filter(lambda name: name.strip())
KINDS = st.sampled_from(["", "application/pdf", "text/csv", "text/calendar; method=REQUEST", "image/png"])
CIDS = st.integers(0, 9999).map("image{}@shop.example".format)
FILES = st.builds(Attachment, FILE_NAMES, st.binary(max_size=300), KINDS)
IMAGES = st.builds(Attachment, FILE_NAMES, st.binary(max_size=300), st.just("image/png"), CIDS)


def mail(extras, plain="text\n", html="<p>text</p>\n", **more):
    return build(
        id=UUID(int=7),
        sender=more.get("sender", Sender("Shop", "no-reply@shop.example")),
        to=more.get("to", "ada@a.example"),
        to_name=more.get("to_name", "Ada"),
        subject=more.get("subject", "Hello"),
        plain=plain,
        html=html,
        date=DATE,
        extras=extras,
    )


def leaves(raw, read_by):
    return [one for one in email.message_from_bytes(raw, policy=read_by).walk() if not one.is_multipart()]


def shape(part):
    inner = part.get_payload() if part.is_multipart() else []
    return (part.get_content_subtype(), *map(shape, inner)) if inner else part.get_content_subtype()


def filename(part):
    """As the header says it: get_filename() takes quotes and blanks off that are part of the name."""
    value = part.get_param("filename", header="content-disposition", unquote=False)
    if isinstance(value, str):
        return unquote(value)
    charset, _, raw = value
    if part.policy is policy.compat32:  # which puts quotes around what RFC 2231 leaves bare
        raw = unquote(raw)
    return bytes(raw, "raw-unicode-escape").decode(charset)


def unfolded(value):
    return re.sub(r"\r?\n(?=[ \t])", "", str(value)).strip()


@POLICIES
@given(files=st.lists(FILES, max_size=3), images=st.lists(IMAGES, max_size=3, unique_by=lambda one: one.cid))
@example(files=[Attachment("Rechnung für Jörg.pdf", b"%PDF")], images=[])
@example(files=[Attachment('a "quoted" \\ name.txt', b"a\r\nb\n")], images=[])
@example(files=[Attachment('""', b""), Attachment("<a>", b""), Attachment("a=?b", b"")], images=[])
@example(files=[Attachment("語" * 80 + ".pdf", b"")], images=[])
@example(files=[Attachment("=?utf-8?q?a?=.txt", b".")], images=[])
def test_files_and_images_are_read_back_as_they_were_given(read_by, files, images):
    _, _, *parts = leaves(mail(Extras(attachments=[*files, *images])), read_by)
    assert [part.get_payload(decode=True) for part in parts] == [one.content for one in [*images, *files]]
    assert [filename(part) for part in parts] == [one.name for one in [*images, *files]]
    cids = [part["Content-ID"] for part in parts]
    assert cids == [f"<{one.cid}>" for one in images] + [None] * len(files)
    assert [part.get_content_disposition() for part in parts] == ["inline"] * len(images) + [
        "attachment"
    ] * len(files)


@POLICIES
@given(plain=TEXTS, html=TEXTS, files=st.lists(FILES, max_size=2), subject=TEXTS, name=TEXTS)
@example(plain="--=_00000000000000000000000000000007--\n", html="--=_m", files=[], subject="a", name="b")
def test_every_part_of_a_mail_is_read_back_by_both_parsers(read_by, plain, html, files, subject, name):
    subject, name = " ".join(subject.split()), " ".join(name.split())
    raw = mail(Extras(attachments=files), plain, html, subject=subject, to_name=name)
    read = email.message_from_bytes(raw, policy=read_by)
    assert str(make_header(decode_header(unfolded(read["Subject"])))) == subject
    as_text = email.message_from_bytes(raw, policy=policy.compat32)["To"]
    shown, address = parseaddr(unfolded(as_text))
    assert (str(make_header(decode_header(shown))), address) == (name, "ada@a.example")
    bodies = [part.get_payload(decode=True).decode() for part in leaves(raw, read_by)[:2]]
    assert [body.replace("\r\n", "\n").rstrip("\n") for body in bodies] == [
        body.rstrip("\n") for body in (plain, html)
    ]
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


LOGO = Attachment("logo.png", b"png", cid="logo@shop.example")
BILL = Attachment("bill.pdf", b"pdf")
WORDS = ("alternative", "plain", "html")


@pytest.mark.parametrize(
    ("attachments", "shaped"),
    [
        ([], WORDS),
        ([LOGO], ("related", WORDS, "png")),
        ([BILL], ("mixed", WORDS, "pdf")),
        ([BILL, LOGO], ("mixed", ("related", WORDS, "png"), "pdf")),
    ],
)
def test_what_is_shown_is_related_and_what_is_attached_is_mixed(attachments, shaped):
    read = email.message_from_bytes(mail(Extras(attachments=attachments)), policy=policy.default)
    assert shape(read) == shaped
    assert read.get_body(("html",)).get_content().strip() == "<p>text</p>"


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("original.eml", "", "application/octet-stream"),
        ("page.mht", "", "application/octet-stream"),
        ("original.eml", "message/rfc822", "application/octet-stream"),
        ("parts", "multipart/mixed; boundary=x", "application/octet-stream"),
        ("report.csv.gz", "", "application/gzip"),
        ("backup.tar.gz", "", "application/gzip"),
        ("backup.tgz", "", "application/gzip"),
        ("mails.eml.gz", "", "application/gzip"),
        ("dump.sql.bz2", "", "application/x-bzip2"),
        ("dump.sql.xz", "", "application/x-xz"),
        ("dump.sql.Z", "", "application/octet-stream"),
        ("no ending", "", "application/octet-stream"),
        ("report.csv", "", "text/csv"),
        ("report.csv.gz", "text/csv", "text/csv"),
    ],
)
def test_a_file_goes_out_under_a_type_that_its_bytes_have(name, given, sent):
    content = b"From: a@x.example\r\n\r\n\x00\xff"
    [*_, part] = leaves(mail(Extras(attachments=[Attachment(name, content, given)])), policy.default)
    assert (part.get_content_type(), part.get_payload(decode=True)) == (sent, content)


@pytest.mark.parametrize(
    ("attachments", "why"),
    [
        ([Attachment("", b"")], "an attachment needs a name"),
        ([Attachment(" ", b"")], "an attachment needs a name"),
        ([Attachment("a", b"", "pdf")], "type/subtype"),
        ([Attachment("a", b"", "text/plain\r\nBcc: evil@x.example")], "type/subtype"),
        ([Attachment("a", b"", cid="logo")], "must have the form logo@shop.example"),
        ([Attachment("a", b"", cid="a@b>\r\nBcc: evil@x.example")], "must have the form logo@shop.example"),
        ([LOGO, LOGO], "two inline images have the same cid"),
    ],
)
def test_an_attachment_that_cannot_go_out_says_why(attachments, why):
    with pytest.raises(AttachmentError, match=why) as refused:
        mail(Extras(attachments=attachments))
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: evil@x.example", "a\nb", "=?utf-8?q?a=0D=0ABcc:_evil?=", "\ud800"]
)
@pytest.mark.parametrize(
    "extras",
    [
        lambda value: Extras(attachments=[Attachment(value, b"")]),
        lambda value: Extras(reply_to=f"{value} <a@b.example>"),
        lambda value: Extras(list_unsubscribe=f"https://a.example/{value}"),
    ],
)
def test_none_of_them_starts_another_header(value, extras):
    try:
        raw = mail(extras(value))
    except HeaderError:
        return
    assert "Bcc" not in email.message_from_bytes(raw, policy=policy.default)


def test_text_is_no_content():
    with pytest.raises(TypeError, match="must be bytes"):
        Attachment("a.txt", "text")


@POLICIES
@given(token=st.text("abcXYZ019-._~:/?#[]@!$&'()*+,;=%", max_size=940), mailto=st.booleans())
@example(token="x" * 900 + ",;=%2C?q?a", mailto=True)
def test_an_unsubscribe_address_of_any_length_goes_out_untouched(read_by, token, mailto):
    urls = [f"https://shop.example/u/{token}", *(["mailto:stop@shop.example?subject=stop"] if mailto else [])]
    raw = mail(Extras(list_unsubscribe=" \n ".join(urls), one_click=True))
    read = email.message_from_bytes(raw, policy=read_by)
    assert unfolded(read["List-Unsubscribe"]) == ", ".join(f"<{url}>" for url in urls)
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"<{urls[0]}>".encode() in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("length", range(970, 1002))
def test_an_address_goes_out_in_one_piece_or_not_at_all(length):
    extras = Extras(list_unsubscribe="https://shop.example/".ljust(length, "x"))
    if length > 995:  # with < and > and the blank before them no line holds it
        with pytest.raises(HeaderError, match="List-Unsubscribe has an address longer than a line"):
            mail(extras)
        return
    raw, url = mail(extras), extras.list_unsubscribe
    assert f" <{url}>\r\n".encode() in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("value", "one_click", "why"),
    [
        ("javascript:alert(1)", False, "https and mailto"),
        ("shop.example/unsubscribe", False, "https and mailto"),
        ("https://a.example/>,<https://evil.example/", False, "https and mailto"),
        ("https://a.example/ü", False, "https and mailto"),
        ("https://a.example/=?utf-8?q?evil?=", False, "https and mailto"),
        ("mailto:stop@shop.example", True, "no https address"),
        ("http://a.example/u", True, "no https address"),
    ],
)
def test_what_nobody_can_unsubscribe_by_is_refused(value, one_click, why):
    with pytest.raises(HeaderError, match=why) as refused:
        mail(Extras(list_unsubscribe=value, one_click=one_click))
    assert "evil" not in str(refused.value)


def test_without_any_of_them_no_header_is_added():
    read = email.message_from_bytes(mail(Extras()))
    assert not {"Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post"} & set(read)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("help@shop.example", "Reply-To: help@shop.example"),
        ("Help <help@shop.example>", "Reply-To: Help <help@shop.example>"),
        ("Für <help@bücher.example>", "Reply-To: =?utf-8?q?F=C3=BCr?= <help@xn--bcher-kva.example>"),
    ],
)
def test_answers_go_where_the_type_says(value, line):
    raw = mail(Extras(reply_to=value))
    assert line in re.sub(r"\r\n(?= )", "", raw.decode()).split("\r\n")


@pytest.mark.parametrize(
    "value", ["hunter2", "a@b.example, hunter2@c.example", "hunter2@", "jörg@shop.example"]
)
def test_an_answer_goes_to_exactly_one_address_that_any_server_takes(value):
    with pytest.raises(HeaderError, match="Reply-To") as refused:
        mail(Extras(reply_to=value))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("to", "line"),
    [
        ("ada@bücher.example", "To: Ada <ada@xn--bcher-kva.example>"),
        ("jörg@bücher.example", "To: Ada <jörg@xn--bcher-kva.example>"),
    ],
)
def test_a_domain_goes_out_as_a_labels(to, line):
    assert line in mail(Extras(), to=to).decode().split("\r\n")


def test_an_address_that_is_two_is_refused():
    with pytest.raises(HeaderError, match="To: not a valid email address"):
        mail(Extras(), to="a@b.example>, <evil@x.example")
