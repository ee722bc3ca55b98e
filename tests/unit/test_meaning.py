"""What a submitted mail says, however it was built."""

import time
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from waypost.mail.finished import parse
from waypost.mail.meaning import meaning

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


def nested(levels):
    opened = "".join(f'Content-Type: multipart/mixed; boundary="{n}"\r\n\r\n--{n}\r\n' for n in range(levels))
    return HEAD + opened.encode() + b"\r\n" + b"line\r\n" * (2 * levels)


def parameters(count):
    return HEAD + b"\r\n".join(
        [b"Content-Type: multipart/mixed; boundary=a", b"", b"--a", b"Content-Type: text/plain"]
        + [b' ;a";' * 150] * (count // 150)
        + [b"", b"text", b"--a--", b""]
    )


def parts(count):
    each = b"--a\r\nContent-Type: text/plain\r\n\r\ntext\r\n"
    return HEAD + b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + each * count + b"--a--\r\n"


@pytest.mark.parametrize("made", [nested, parameters, parts])
def test_the_time_grows_with_the_size(made):
    def took(mail):
        began = time.process_time()
        said(mail)
        return time.process_time() - began

    small, large = (min(took(made(count)) for _ in range(3)) for count in (2_000, 16_000))
    assert large < max(8 * 2.5 * small, 0.02)
