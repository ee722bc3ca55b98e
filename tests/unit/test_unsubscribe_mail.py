"""The tokens in mails that ask to unsubscribe, as mail programs write them, and what is none."""

from __future__ import annotations

from base64 import encodebytes
from email.message import EmailMessage
from email.policy import SMTP
from quopri import encodestring

import pytest
from support.stopwatch import judge, spent

from waypost import Category
from waypost.config.settings import Settings
from waypost.deployments.doctor.pages import by_mail, page_findings
from waypost.recipients.links import LONGEST, Link, Links
from waypost.recipients.unsubscribe_mail import MOST_BYTES, tokens_in

LINKS = Links(b"a key of sixteen or more")
TOKEN = LINKS.token(Link("shop", "ada", Category.MARKETING, 3, "ada@a.example"))
SHORT = LINKS.token(Link("", "a", Category.ALERT))
LONG = "x_-" * 280
ADDRESS = "unsubscribe@mail.shop.example"


def mail(subject="", text="", **headers):
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = "Ada <ada@a.example>", ADDRESS, subject
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return bytes(made)


def raw(subject, text="", fields=""):
    return f"From: ada@a.example\r\n{fields}Subject: {subject}\r\nTo: {ADDRESS}\r\n\r\n{text}".encode()


@pytest.mark.parametrize("token", [SHORT, TOKEN, LONG])
@pytest.mark.parametrize(
    "subject",
    [
        "{}",
        "Re: {}",
        "RE:{}",
        "AW: Re: {} ",
        "回复\uff1a{}",
        "<{}>",
        "unsubscribe {}",
        "[Liste] {}",
    ],
)
def test_a_token_is_found_in_a_subject_whatever_stands_around_it(subject, token):
    written = mail(subject.format(token))
    assert tokens_in(written)[0] == tokens_in(written.replace(b"\r\n", b"\n"))[0] == token


def test_a_subject_may_be_folded_or_encoded_in_the_middle_of_a_word():
    half = len(TOKEN) // 2
    first, second = TOKEN[:half], TOKEN[half:]
    q = "".join(letter if letter.isalnum() else f"={ord(letter):02X}" for letter in TOKEN)
    b = encodebytes(TOKEN.encode()).decode().replace("\n", "")
    for subject in (
        f"{first}\r\n {second}",
        f"Re:\r\n\t{first}\r\n {second}",
        f"=?utf-8?q?{q}?=",
        f"=?UTF-8?B?{b}?=",
        f"Re: =?us-ascii?Q?{first.replace('_', '=5F')}?=\r\n =?us-ascii?Q?{second.replace('_', '=5F')}?=",
    ):
        assert TOKEN in tokens_in(raw(subject))


def quoted(text):
    return encodestring(text.replace("\r\n", "\n").encode()).decode()


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "Hello,\r\n\r\n  {}  \r\nAda",
        "<div>Please stop</div><div>{}</div>",
        "--b\r\nContent-Type: text/plain\r\n\r\nstop\r\n{}\r\n--b--\r\n",
    ],
)
def test_a_token_is_found_alone_on_a_line_in_any_encoding(body):
    text = body.format(TOKEN)
    for written in (text, quoted(text), encodebytes(text.encode()).decode()):
        assert tokens_in(raw("unsubscribe", written))[0] == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I am on holiday until 3 August.",
        f"> {TOKEN}",
        f"  https://mail.shop.example/u/{TOKEN}",
        f"<https://mail.shop.example/u/{TOKEN}>",
        f"List-Unsubscribe: <https://mail.shop.example/u/{TOKEN}>,\r\n <mailto:{ADDRESS}?subject={TOKEN}>",
        "line\r\n" * 50 + TOKEN,
        TOKEN[:59],
    ],
)
def test_an_automatic_reply_or_a_bounce_that_quotes_a_mail_has_no_token(text):
    assert tokens_in(mail("Automatic reply: news", text, Auto_Submitted="auto-replied")) == []


@pytest.mark.parametrize(
    "nothing", [b"", b"\r\n\r\n", b"\x00" * 5000, b"Subject:", b"subject", b"=?=?=?" * 99]
)
def test_what_is_no_mail_has_no_token(nothing):
    assert tokens_in(nothing) == []


def test_only_the_first_subject_counts_and_a_head_or_text_beyond_the_limits_is_not_read():
    assert tokens_in(raw(SHORT, fields=f"Subject: {TOKEN}\r\n")) == [TOKEN]
    assert tokens_in(raw(TOKEN, fields="X-Long: " + "x" * MOST_BYTES + "\r\n")) == []
    assert len(tokens_in(raw(" ".join(f"{TOKEN}{number}" for number in range(500))))) <= 10


def of_size(piece, begins=b""):
    return lambda size: spent(lambda: tokens_in(begins + piece * (size // len(piece))))


def test_the_cost_is_linear_in_the_size():
    pieces = {
        "letters": b"a",
        "folds": b"\r\n a",
        "words": b"=?utf-8?q?a?= ",
        "half words": b"=?a?q?",
        "brackets": b"<",
        "tags": b"<a",
        "base64": b"QUJD\n",
        "padding": b"QUJD=\n",
        "soft breaks": b"=\r\n",
        "lines": b"\r\n",
        "signs": b"-",
    }
    begins = {"subject": b"Subject: ", "body": b"Subject: a\r\n\r\n"}
    judge(
        (f"{piece} in the {place}", of_size(octets, begin), MOST_BYTES)
        for piece, octets in pieces.items()
        for place, begin in begins.items()
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "nobody",
        "a@b@c.example",
        "Ada <ada@a.example>",
        "ä@a.example",
        '"a..b"@a.example',
        "a@a.example, b@a.example",
    ],
)
def test_an_address_that_mail_programs_cannot_write_to_is_refused(wrong):
    with pytest.raises(ValueError, match=r"unsubscribe_address"):
        Settings(unsubscribe_address=wrong)


def test_an_address_is_kept_as_it_is_compared_and_doctor_says_on_or_off():
    settings = Settings(unsubscribe_address="Unsubscribe@Mail.Shop.Example")
    assert settings.unsubscribe_address == ADDRESS.replace("unsubscribe", "Unsubscribe")
    assert by_mail(settings).found.startswith("on: mails to Unsubscribe@mail.shop.example go to")
    assert by_mail(Settings()).found == "off: WAYPOST_UNSUBSCRIBE_ADDRESS is not set"


@pytest.mark.anyio
async def test_where_only_the_address_is_set_doctor_notes_that_there_are_no_pages():
    pages, mails = await page_findings(Settings(unsubscribe_address=ADDRESS))
    assert (pages.what, pages.level, "there are no pages" in pages.found) == ("pages", "note", True)
    assert (mails.what, mails.level) == ("unsubscribe", "ok")


def test_the_longest_token_is_a_word_that_is_found():
    assert len(LONG) <= LONGEST
