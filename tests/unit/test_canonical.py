"""What a submitted mail says, however it was built."""

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from waypost.mail.canonical import meaning
from waypost.mail.raw_message import parse

SHOP, TEXT, HTML = "Käserei <shop@a.example>", "Grüße, your order is on its way.\n", "<p>On its way</p>\n"


def built(text=TEXT, file=b"%PDF 1", name="bill.pdf", boundary="one", cte="base64", **fields):
    mail = EmailMessage(policy=SMTP)
    for field, value in {"From": SHOP, "To": "ada@a.example", "Subject": "Your order", **fields}.items():
        mail[field.replace("_", "-")] = value
    mail.set_content(text, cte=cte)
    mail.add_alternative(HTML, subtype="html")
    mail.add_attachment(file, "application", "pdf", filename=name)
    mail.set_boundary(boundary)
    return mail.as_bytes()


def said(mail):
    return meaning(parse(mail))


@pytest.mark.parametrize(
    "again",
    [
        built(),
        built(boundary="another"),
        built(cte="quoted-printable"),
        built(cte="8bit"),
        built(Date="Mon, 2 Mar 2026 00:00:00 +0000", X_Mailer="2.0"),
        built(Subject="Your  order"),
        b"Received: from a relay; Mon, 2 Mar 2026 00:00:00 +0000\r\n" + built(),
        built().replace(b"Subject: Your order\r\n", b"Subject: =?utf-8?b?WW91cg==?=\r\n order\r\n"),
        built().replace(b'charset="utf-8"', b'charset="UTF-8"'),
    ],
)
def test_a_mail_that_was_built_anew_says_the_same(again):
    assert said(again) == said(built())


@pytest.mark.parametrize(
    "another",
    [
        built("Another text\n"),
        built(file=b"%PDF 2"),
        built(name="reminder.pdf"),
        built(Subject="Your refund"),
        built(To="bob@a.example"),
        built(Reply_To="help@a.example"),
        built().replace(b"shop@a.example", b"mall@a.example"),
        built().replace(b"application/pdf", b"application/zip"),
        built().replace(b"<p>On its way</p>", b"<p>Off</p>"),
    ],
)
def test_what_a_reader_would_notice_is_another_mail(another):
    assert said(another) != said(built())


HEAD = b"From: shop@a.example\r\nSubject: s\r\n"


@pytest.mark.parametrize(
    "mail",
    [
        HEAD + b"Content-Type: text/plain; charset=nosuch\r\n\r\n\xff\xfe\r\n",
        HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n%%%\r\n",
        HEAD + b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
        HEAD + b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--b\r\n",
        HEAD + b"Content-Type: text/plain; name*0*=x''%\r\n\r\n\r\n",
        HEAD + b"Content-Type: nonsense; ;;=\r\n\r\n\r\n",
        HEAD + b"\r\n",
    ],
)
def test_a_mail_that_is_not_right_has_a_meaning_too(mail):
    assert said(mail) == said(mail)
    assert said(mail) != said(mail + b"more\r\n")


INSIDE = b"Content-Type: message/rfc822\r\n\r\nFrom: ada@a.example\r\nSubject: one\r\n\r\ntext\r\n"
REPORT = b"Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: one\r\nAction: failed\r\n"
LONG = b"b" * 71  # a boundary has 70 characters at most
MANY = b"--a\r\nContent-Type: text/plain\r\n\r\ntext\r\n" * 1_100 + b"one\r\n"


@pytest.mark.parametrize(
    "part",
    [
        INSIDE,
        REPORT,
        b"one line without a head\r\n\r\ntext\r\n",
        b"X-A: a\r\none line is no field\r\n\r\ntext\r\n",
        b"Content-Type: text/plain; name*=nosuch''one\r\n\r\ntext\r\n",
        b"Content-Type: text/plain" + b"; a=one" * 100 + b"\r\n\r\ntext\r\n",
        b"Content-Type: text/plain;\r\n name=" + b"one" * 300 + b";\r\n b=" + b"\r\n a" * 600 + b"\r\n\r\n",
        b"X: a\r\n" * 50_000 + b"X-A: one\r\n\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\nQQ==\r\none=\r\n",
        b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n\r\none\r\n" % (LONG, LONG),
        MANY,
    ],
)
def test_what_is_not_read_is_compared_as_it_is_written(part):
    front = HEAD + b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
    assert said(front + part.replace(b"one", b"two")) != said(front + part)


def within(inner: bytes, outer: bytes, text: bytes = b"one", unseen: bytes = b"") -> bytes:
    """A part in a multipart in a multipart, and another beside it."""
    kind = b"Content-Type: multipart/mixed; boundary="
    lines = [
        *(HEAD + kind + outer, b"", unseen),
        *(b"--" + outer, kind + inner, b""),
        *(b"--" + inner + b" ", b"", text, b"--abx", b"--" + inner + b"--", unseen),
        *(b"--" + outer, b"Content-Type: text/html", b"", b"two", b"--" + outer + b"--", unseen),
    ]
    return b"\r\n".join(lines)


def test_parts_of_parts_are_read_and_nothing_around_them():
    assert said(within(b"a", b"ab")) == said(within(b"b.c", b"d", unseen=b"shown to no reader"))
    assert said(within(b"a", b"ab")) != said(within(b"a", b"ab", text=b"another"))
