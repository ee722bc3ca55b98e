"""What an answer to a webhook means."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.channels.webhook.response_text import private_words, with_words
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy import classify
from waypost.policy.classify import outcome, wait

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("named", "seconds"),
    [
        ("120", 120),
        ("1", 1),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9999999999", 6 * 3600),
        ("99999999999999999999", None),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:05:05 -0000", 60),
        ("Fri, 02 Jan 2026 03:00:00 GMT", None),
        ("Sat, 03 Jan 2027 03:00:00 GMT", 6 * 3600),
        ("Fri, 99 Jan 2026 03:00:00 GMT", None),
    ],
)
def test_a_wait_is_seconds_or_a_date_of_at_most_six_hours(named, seconds):
    assert wait(named, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text())
def test_any_header_may_come(named):
    assert wait(named, NOW) is None or wait(named, NOW) > timedelta(0)


@pytest.mark.parametrize("status", [200, 301, 400, 429, 503])
def test_only_what_is_put_off_waits(status):
    found = outcome(status, [(b"Retry-After", b"60")], NOW)
    assert (found.wait is not None) == (found.verdict is Verdict.DEFERRED)


def test_what_tells_is_what_only_the_recipient_is_to_read():
    assert private_words('Your code is "12-34", or see (https://a.example/x).') == [
        "(https://a.example/x).",
        "https://a.example/x",
        '"12-34",',
        "12-34",
    ]


@given(st.binary(max_size=2000))
def test_any_body_makes_one_line_of_bounded_length(body):
    words = with_words(Outcome(Verdict.REFUSED, Phase.DOT, 400, words="HTTP 400"), body, []).words
    assert words.isprintable()
    assert len(words) <= classify.WORDS_KEPT
