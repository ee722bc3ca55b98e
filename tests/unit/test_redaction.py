"""Secrets taken out of words that a provider may say."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.policy.redaction.redact import Redaction, links_in, parts_of

CODE, PASSWORD, USER = "481529", "p@ss/w0rd+Canary", "shop"
TOKEN = "IjAxOTk5YzJmIg.aSnZqA.x1_yZ-2q"
LINK = f"https://app.example/verify?from=mail&token={TOKEN}"
redacted = Redaction([CODE, LINK, TOKEN, USER, PASSWORD])


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"spam: your code is {CODE}", "spam: your code is ***"),
        ("rejected: 481 529, 481-529 and 4 8 1 5 2 9", "rejected: ***, *** and ***"),
        (f"x{CODE}y {CODE}7", "x***y ***7"),
        (f"see <{LINK}>", "see <***>"),
        (f"see {LINK.upper()}", "see ***"),
        (f"see {quote(LINK, safe='')}", "see ***"),
        (f"see {LINK.replace('&', '&amp;')}", "see ***"),
        ("token=3DIjAxOTk5YzJm=\r\nIg.aSnZqA.x1_yZ-2q ends", "token=3D*** ends"),
        ("535 IjAxOTk5YzJm Ig.aSnZqA .x1_yZ-2q", "535 ***"),
        (f"no user {USER}, nor a webshop", "no user ***, nor a webshop"),
        (f"bad password {PASSWORD}", "bad password ***"),
        (f"bad password {quote(PASSWORD, safe='')}", "bad password ***"),
        (f"AUTH LOGIN {in_base64(USER)} {in_base64(PASSWORD)}", "AUTH LOGIN ***== ***=="),
    ],
)
def test_a_secret_is_taken_out_however_it_is_written(said, kept):
    assert redacted(said) == kept


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "Your code: "])
@pytest.mark.parametrize("secret", [CODE, TOKEN, PASSWORD])
def test_a_secret_inside_a_text_in_base64_cannot_be_read_back(before, secret):
    quoted = redacted(in_base64(f"{before}{secret} and more"))
    assert "***" in quoted
    readable = base64.b64decode("".join(quoted.split("***")[0])[: len(quoted.split("***")[0]) // 4 * 4])
    assert secret[:3].encode() not in readable


def test_the_answer_of_auth_plain_gives_no_password_away():
    kept = redacted(f"unknown command: AUTH PLAIN {in_base64(chr(0) + USER + chr(0) + PASSWORD)}")
    assert in_base64(PASSWORD)[4:12] not in kept
    assert "***" in kept


@pytest.mark.parametrize(
    "words", ["", "2.0.0 Ok: queued as 4ZBcX12345", "5.1.1 <ada@a.example>: no such user"]
)
def test_what_holds_no_secret_stays_as_it_is(words):
    assert redacted(words) == words
    assert Redaction()(words) == words


@pytest.mark.parametrize("left", [3, 5, 20])
def test_a_secret_that_was_cut_in_two_is_taken_out_too(left):
    assert redacted("x" * 240 + " " + TOKEN[:left]) == "x" * 240 + " ***"


@given(st.text(max_size=60), st.text(max_size=60), st.text(alphabet="0123456789", min_size=6, max_size=6))
def test_no_text_around_a_code_shows_it(before, after, code):
    assert code not in Redaction([code])(f"{before} {code} {after}")


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_secret_and_any_words_may_come(words, secrets):
    assert isinstance(Redaction(secrets)(words), str)


def test_the_parts_of_a_url_that_may_be_tokens_are_known():
    parts = parts_of("https://b0b:hunt%65r2@h.example/hooks/s3cr%65t/x?token=tok3n&a=1&to={phone}")
    assert {"hunt%65r2", "hunter2", "h.example", "hooks", "s3cr%65t", "s3cret", "tok3n", "token=tok3n"} <= {
        *parts
    }
    assert not {"x", "1", "{phone}"} & {*parts}


def test_links_are_found_inside_texts():
    assert [*links_in("Go to HTTPS://a.example/t=1 or <https://b.example>.")] == [
        "HTTPS://a.example/t=1",
        "https://b.example",
    ]
