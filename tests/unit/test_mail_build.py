"""A mail says exactly what it was given, in lines any server takes, or it is not built."""

import email
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.utils import parseaddr
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waypost.mail.build import Sender, build
from waypost.mail.headers import HeaderError, parse_mailbox

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"]
SHOP = Sender("Shop", "no-reply@shop.example")
TRICKY = "=?utf-8?Q?B?= \r\n\t,;:<>@\"\\()[].'_aAzZ09üÀß€语😀\u200b\u202e\xa0\u2028\x85\x0b\x00"
ANY = st.one_of(
    st.text(max_size=300),
    st.text(TRICKY, max_size=200),
    st.text("abc ü", min_size=60, max_size=400),
    st.text("a", min_size=900, max_size=1100),
)
NAMES = st.one_of(st.text(max_size=200), st.text(TRICKY, max_size=200), st.text("abc. ü", max_size=200))


def mail(subject="Hello", to_name="Ada", sender=SHOP, plain="text\n", html="<p>text</p>\n", **more):
    return build(
        id=more.get("id", ID),
        sender=sender,
        to=more.get("to", "ada@a.example"),
        to_name=to_name,
        subject=subject,
        plain=plain,
        html=html,
        date=more.get("date", datetime(2026, 3, 1, tzinfo=UTC)),
    )


def read(raw):
    return email.message_from_bytes(raw, policy=policy.default)


def shown(line):
    """The display name a reader shows; the new parser of 3.11 leaves blanks between encoded words."""
    return str(make_header(decode_header(parseaddr(str(line))[0])))


def words(text):
    return " ".join(part for part in text.split(" ") if part)


def in_lines(body):
    return body.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


@given(ANY.map(lambda text: text.strip(" ")))
@example("a" * 70 + " " * 20 + "b")
@example("=?utf-8?q?already_encoded?=")
@example("=?utf-8?x?no_such_encoding?=")
@example("a =?utf-8?q?b?= c")
@example(" ".join(["word"] * 100))
@example("ü" * 300)
@example("Pâté  chinois")
def test_a_subject_is_read_back_exactly_or_refused(subject):
    try:
        raw = mail(subject=subject)
    except HeaderError:
        return
    assert str(read(raw)["Subject"]) == subject
    assert read(raw).keys() == HEADERS


@given(NAMES)
@example('Toms "Spezialitäten" <a@b.example>, c@d.example')
@example('a "quoted" \\ name')
@example("=?utf-8?q?a?= <evil@x.example>")
@example("Doe, Jane (Ops)")
@example("语" * 100)
def test_a_recipients_name_is_read_back_exactly_or_refused(name):
    try:
        raw = mail(to_name=name)
    except HeaderError:
        return
    read_back = read(raw)
    assert words(shown(email.message_from_bytes(raw)["To"])) == words(name)
    assert [address.addr_spec for address in read_back["To"].addresses] == ["ada@a.example"]
    assert read_back.keys() == HEADERS


@given(NAMES)
def test_a_senders_name_is_read_back_exactly_or_refused(name):
    try:
        raw = mail(sender=Sender(name, "no-reply@shop.example"))
    except HeaderError:
        return
    read_back = read(raw)
    assert words(shown(email.message_from_bytes(raw)["From"])) == words(name)
    assert [address.addr_spec for address in read_back["From"].addresses] == ["no-reply@shop.example"]
    assert read_back.keys() == HEADERS


BODIES = st.one_of(
    st.text(max_size=500),
    st.text("=.-\r\n \tabü语\x00\x0c", max_size=300),
    st.text("ab ", min_size=900, max_size=1200),
    st.lists(
        st.sampled_from([".", "..", "From x", "--", "=", "a " * 60, "é", "", "x" * 76]), max_size=20
    ).map("\n".join),
)


@given(BODIES, BODIES)
@example("语" * 2000, "<p>" + "é" * 2000)
@example("", "")
@example("a\n\n\n", "a\r\n\r\nb")
def test_both_bodies_are_read_back_but_for_line_ends(plain, html):
    parts = read(mail(plain=plain, html=html)).get_payload()
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    bodies = [in_lines(part.get_content()) for part in parts]
    assert bodies == [in_lines(body.replace("\r\n", "\n")) for body in (plain, html)]


@given(subject=ANY, name=NAMES, plain=BODIES, html=BODIES)
def test_lines_end_with_crlf_and_none_is_over_998(subject, name, plain, html):
    try:
        raw = mail(subject=subject, to_name=name, plain=plain, html=html)
    except HeaderError:
        return
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    assert raw.endswith(b"\r\n")


@given(plain=BODIES, html=BODIES)
def test_the_wire_is_seven_bit(plain, html):
    assert mail("Grüße", "Jörg", plain=plain, html=html).isascii()


@pytest.mark.parametrize(
    ("plain", "encoding"),
    [
        ("plain words\n", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("Grüße aus Köln, " * 10, "quoted-printable"),
        ("a\rb", "base64"),
        ("こんにちは" * 10, "base64"),
    ],
)
def test_a_body_travels_in_the_encoding_that_suits_it(plain, encoding):
    part, _ = read(mail(plain=plain)).get_payload()
    assert part["Content-Transfer-Encoding"] == encoding


def test_every_build_of_a_notification_has_the_same_message_id():
    built = [mail(), mail("other", "Bob", date=datetime(2027, 1, 1, tzinfo=UTC)), mail(html="<b>")]
    assert {read(raw)["Message-ID"] for raw in built} == {f"<{ID.hex}@shop.example>"}


def test_two_notifications_have_two_message_ids():
    assert read(mail())["Message-ID"] != read(mail(id=UUID(int=1)))["Message-ID"]


def test_an_internationalised_sender_has_a_message_id_in_ascii():
    raw = mail(sender=Sender.parse("Bücher <jörg@bücher.example>"))
    assert f"Message-ID: <{ID.hex}@xn--bcher-kva.example>\r\n".encode() in raw


def test_an_automatic_mail_says_so():
    assert read(mail())["Auto-Submitted"] == "auto-generated"


VECTORS = {
    "CR": "hi\rBcc: evil@x.example",
    "LF": "hi\nBcc: evil@x.example",
    "CRLF": "hi\r\nBcc: evil@x.example",
    "a folded line": "hi\r\n Bcc: evil@x.example",
    "the end of the head": "hi\r\n\r\n<script>",
    "LF at the end": "hi\n",
    "CRLF in Q": "=?utf-8?q?a=0D=0ABcc:_evil@x.example?=",
    "LF in Q": "=?utf-8?Q?a=0aBcc:_evil@x.example?=",
    "CRLF in B": "=?utf-8?b?YQ0KQmNjOiBldmlsQHguZXhhbXBsZQ==?=",
    "CR in B": "=?iso-8859-1?B?YQ1CY2M6IGV2aWxAeC5leGFtcGxl?=",
    "CRLF in Q with a blank": "=?utf-8?q?a b=0D=0ABcc:_evil@x.example?=",
    "CRLF in Q with a question mark": "=?utf-8?q?a?b=0D=0ABcc:_evil@x.example?=",
    "CRLF in Q behind a word that is none": "=?utf-8?q?a =?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "CRLF in Q, in the middle": "Hello =?utf-8?q?a=0D=0ABcc:_evil@x.example?= there",
    "CRLF in Q with a language": "=?utf-8*en?q?a=0D=0ABcc:_evil@x.example?=",
    "CRLF in Q of an unknown charset": "=?x-unknown?q?a=0D=0ABcc:_evil@x.example?=",
    "CRLF over two words": "=?utf-8?q?a=0D?= =?utf-8?q?=0ABcc:_evil@x.example?=",
    "CRLF in Q without an end": "=?utf-8?q?a=0D=0ABcc:_evil@x.example",
    "CRLF in UTF-16": "=?utf-16-le?b?YQANAAoAQgBjAGMA?=",
    "CRLF in UTF-7": "=?utf-7?q?a+AA0ACg-Bcc:_evil@x.example?=",
    "nested": "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0D=3D0ABcc=3A_evil=40x.example=3F=3D?=",
    "NUL": "hi\x00Bcc: evil@x.example",
    "vertical tab": "hi\x0bBcc: evil@x.example",
    "form feed": "hi\x0cBcc: evil@x.example",
    "file separator": "hi\x1cBcc: evil@x.example",
    "NEL": "hi\x85Bcc: evil@x.example",
    "line separator": "hi\u2028Bcc: evil@x.example",
    "paragraph separator": "hi\u2029Bcc: evil@x.example",
    "line separator in Q": "=?utf-8?q?a=E2=80=A8Bcc:_evil@x.example?=",
    "DEL": "hi\x7fBcc: evil@x.example",
    "a lone surrogate": "hi\ud800Bcc: evil@x.example",
}
DISARMED = {"CRLF in UTF-7", "nested", "CRLF in Q without an end"}
PLACES = {
    "subject": lambda value: mail(subject=value),
    "recipient": lambda value: mail(to_name=value),
    "sender": lambda value: mail(sender=Sender(value, "no-reply@shop.example")),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("vector", VECTORS)
def test_no_value_starts_another_header(vector, place):
    try:
        read_back = read(PLACES[place](VECTORS[vector]))
    except HeaderError:
        return
    assert read_back.keys() == HEADERS
    assert [len(read_back[name].addresses) for name in ("From", "To")] == [1, 1]
    assert len(read_back.get_payload()) == 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("vector", sorted(set(VECTORS) - DISARMED))
def test_a_control_character_is_refused_as_it_stands_and_once_decoded(vector, place):
    with pytest.raises(HeaderError) as refused:
        PLACES[place](VECTORS[vector])
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["a" * 1100, "a." * 600, '"' * 600, "ü" * 1100, "a b" * 400])
def test_no_header_is_longer_than_a_line_may_be(value, place):
    try:
        raw = PLACES[place](value)
    except HeaderError:
        return
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("vector", VECTORS)
def test_a_sender_from_the_settings_cannot_start_a_header_either(vector):
    try:
        sender = Sender.parse(f"{VECTORS[vector]} <no-reply@shop.example>")
        read_back = read(mail(sender=sender))
    except ValueError:
        return
    assert read_back.keys() == HEADERS


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("Shop <no-reply@shop.example>", ("Shop", "no-reply@shop.example")),
        ('"Shop, Inc." <no-reply@shop.example>', ("Shop, Inc.", "no-reply@shop.example")),
        ("Bücher <no-reply@bücher.example>", ("Bücher", "no-reply@xn--bcher-kva.example")),
        ("no-reply@shop.example", ("", "no-reply@shop.example")),
        ("<no-reply@shop.example>", ("", "no-reply@shop.example")),
        ('"The \\"Shop\\"" <no-reply@shop.example>', ('The "Shop"', "no-reply@shop.example")),
    ],
)
def test_a_sender_is_a_name_and_an_address(value, parsed):
    assert parse_mailbox(value) == parsed


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Shop",
        "Shop <>",
        "Shop <no-reply>",
        "no-reply@",
        "Shop <a@shop.example>, Other <b@shop.example>",
        "a@shop.example, b@shop.example",
        "Shop <a@shop.example> b@shop.example",
        "Shop <a@shop.example>\nBcc: b@shop.example",
        f"{'Shop ' * 200}<a@shop.example>",
        f"Shop {'(' * 400}{')' * 400} <a@shop.example>",
        f"Shop {'(' * 400} <a@shop.example>",
    ],
)
def test_anything_but_one_sender_is_refused(value):
    with pytest.raises(ValueError, match=r"not|control"):
        Sender.parse(value)
