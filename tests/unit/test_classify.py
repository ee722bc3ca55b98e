"""What a provider's answer means."""

from datetime import timedelta

import pytest

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy import classify

BEFORE_THE_DOT = [Phase.CONNECT, Phase.RCPT, Phase.DATA]  # a no to MAIL is about us: test_blame.py


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (250, Verdict.DEFERRED, Verdict.ACCEPTED),
        (251, Verdict.DEFERRED, Verdict.ACCEPTED),
        (421, Verdict.DEFERRED, Verdict.DEFERRED),
        (450, Verdict.DEFERRED, Verdict.DEFERRED),
        (451, Verdict.DEFERRED, Verdict.DEFERRED),
        (452, Verdict.DEFERRED, Verdict.DEFERRED),
        (499, Verdict.DEFERRED, Verdict.DEFERRED),
        (500, Verdict.REFUSED, Verdict.REFUSED),
        (550, Verdict.REFUSED, Verdict.REFUSED),
        (554, Verdict.REFUSED, Verdict.REFUSED),
        (599, Verdict.REFUSED, Verdict.REFUSED),
        (600, Verdict.DEFERRED, Verdict.UNKNOWN),
        (354, Verdict.DEFERRED, Verdict.UNKNOWN),
        (-1, Verdict.DEFERRED, Verdict.UNKNOWN),
    ],
)
def test_a_code_has_one_meaning_before_the_dot_and_one_after(code, before, after):
    assert {classify.smtp(code, "words", phase).verdict for phase in BEFORE_THE_DOT} == {before}
    assert classify.smtp(code, "words", Phase.DOT).verdict is after


@pytest.mark.parametrize(
    ("text", "enhanced", "words"),
    [
        ("5.1.1 no such user", "5.1.1", "no such user"),
        ("4.7.1", "4.7.1", ""),
        ("2.0.0\n2.0.0 queued as 12", "2.0.0", "2.0.0 queued as 12"),
        ("no such user", None, "no such user"),
        ("see 5.1.1", None, "see 5.1.1"),
        ("5.1.1000 odd", None, "5.1.1000 odd"),
        ("3.1.1 odd", None, "3.1.1 odd"),
        ("10.5.1.1 is blocked", None, "10.5.1.1 is blocked"),
        ("5.1.1no blank", None, "5.1.1no blank"),
        ("", None, ""),
    ],
)
def test_an_enhanced_code_is_told_from_the_words(text, enhanced, words):
    outcome = classify.smtp(550, text, Phase.RCPT)
    assert (outcome.code, outcome.enhanced, outcome.words) == (550, enhanced, words)


def test_words_are_one_line_of_bounded_length():
    words = classify.smtp(550, "no\r\n  such\tuser " + "x" * 5000, Phase.RCPT).words
    assert words.startswith("no such user x")
    assert len(words) == classify.WORDS_KEPT


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        ("Greylisted, try again in 300 seconds", timedelta(seconds=300)),
        ("please retry in 5 minutes", timedelta(minutes=5)),
        ("try again in 1 minute", timedelta(minutes=1)),
        ("come back in 45s", timedelta(seconds=45)),
        ("come back in 10 min.", timedelta(minutes=10)),
        ("come back in 2 Hours", timedelta(hours=2)),
        ("come back in 3 hrs", timedelta(hours=3)),
        ("blocked for 24 hours", timedelta(hours=6)),
        ("blocked for 99999 h", timedelta(hours=6)),
        ("try again later", None),
        ("mailbox over its 10 MB", None),
        ("you sent 20 messages", None),
        ("policy 12 month rule", None),
        ("", None),
    ],
)
def test_a_wait_is_read_from_the_words_and_never_over_six_hours(words, wait):
    assert classify.wait_named(words) == wait


@pytest.mark.parametrize(("code", "wait"), [(451, timedelta(minutes=5)), (550, None), (250, None)])
def test_only_a_deferral_names_a_wait(code, wait):
    assert classify.smtp(code, "in 5 minutes", Phase.DOT).wait == wait


@pytest.mark.parametrize("phase", Phase)
def test_a_lost_connection_is_in_doubt_only_after_the_dot(phase):
    expected = Verdict.UNKNOWN if phase is Phase.DOT else Verdict.DEFERRED
    assert classify.lost(phase, "connection lost") == Outcome(expected, phase, words="connection lost")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Verdict.ACCEPTED) for status in (200, 201, 202, 204, 299)),
        *((status, Verdict.REFUSED) for status in (300, 302, 400, 404, 410, 422)),
        *((status, Verdict.DEFERRED) for status in (401, 403, 407, 408, 425, 429, 500, 502, 503, 504)),
    ],
)
def test_an_http_status_has_one_meaning(status, verdict):
    outcome = classify.http(status)
    assert (outcome.verdict, outcome.code) == (verdict, status)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(Verdict.ACCEPTED, Phase.DOT), "accepted"),
        (
            Outcome(Verdict.REFUSED, Phase.RCPT, 550, "5.1.1", "no such user"),
            "refused: 550 5.1.1 no such user",
        ),
        (Outcome(Verdict.REFUSED, Phase.RCPT, words="its URL needs a phone"), "its URL needs a phone"),
        (Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost"), "unknown: connection lost"),
    ],
)
def test_an_outcome_reads_as_a_sentence(outcome, text):
    assert str(outcome) == text


@pytest.mark.parametrize("said", ["bo\udceete pleine", "a\x00b", "a\x1b[31mb"])
def test_what_no_database_could_hold_is_not_kept(said):
    words = classify.smtp(450, f"4.2.0 {said}", Phase.RCPT).words
    words.encode()
    assert words.isprintable()
