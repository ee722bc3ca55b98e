"""A domain that defers is offered less, and grows back slowly."""

from datetime import timedelta

import pytest

from waypost.outcome import Outcome, Phase, Verdict
from waypost.pace import LONGEST, LONGEST_PAUSE, MOST_DOMAINS, SHORTEST, Pace

TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)
D = "northwind.example"


def deferral(code=450, wait=None, phase=Phase.RCPT):
    return Outcome(Verdict.DEFERRED, phase, code=code, words="slow down", wait=wait)


def test_a_domain_that_never_deferred_has_no_pace():
    pace = Pace()
    for _ in range(1000):
        assert pace.ready_at(D) == 0.0
        pace.began(D, 5.0)
        pace.answered(D, TAKEN, 5.0)


def test_each_deferral_doubles_the_pause_up_to_a_limit():
    pace, pauses = Pace(), []
    for _ in range(20):
        pace.answered(D, deferral(), 0.0)
        pace.began(D, 1000.0)
        pauses.append(pace.ready_at(D) - 1000.0)
    assert pauses[:3] == pytest.approx([SHORTEST, SHORTEST * 2, SHORTEST * 4])
    assert pauses[-1] == LONGEST


def test_the_wait_its_words_name_is_honoured():
    pace = Pace()
    pace.answered(D, deferral(421, timedelta(minutes=5)), 10.0)
    assert pace.ready_at(D) == 310.0
    assert pace.ready_at("other.example") == 0.0


def test_a_wait_of_hours_is_the_messages_and_not_the_whole_domains():
    pace = Pace()
    pace.answered(D, deferral(421, timedelta(hours=5)), 10.0)
    assert pace.ready_at(D) == 10.0 + LONGEST_PAUSE


def test_it_grows_back_slowly_and_is_then_forgotten():
    pace = Pace()
    for _ in range(5):
        pace.answered(D, deferral(), 0.0)
    taken = 0
    while pace.ready_at(D):
        pace.answered(D, TAKEN, 0.0)
        taken += 1
    assert 20 < taken < 60


@pytest.mark.parametrize("code", [421, 450, 451, 452, 454])
def test_what_slows_down(code):
    pace = Pace()
    pace.answered(D, deferral(code), 0.0)
    assert pace.ready_at(D) > 0


@pytest.mark.parametrize(
    "outcome",
    [
        deferral(None),
        deferral(421, phase=Phase.CONNECT),
        Outcome(Verdict.REFUSED, Phase.RCPT, code=550),
        Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost"),
    ],
)
def test_what_does_not(outcome):
    pace = Pace()
    pace.answered(D, outcome, 0.0)
    assert pace.ready_at(D) == 0.0


def test_no_more_domains_are_kept_than_it_may():
    pace = Pace()
    for number in range(MOST_DOMAINS + 10):
        pace.answered(f"d{number}.example", deferral(), 0.0)
    assert pace.ready_at("d0.example") == 0.0
    assert pace.ready_at(f"d{MOST_DOMAINS + 9}.example") > 0


@pytest.mark.parametrize(
    ("enhanced", "words"),
    [
        ("4.2.2", "mailbox full, try again in 6 hours"),
        ("4.2.0", "Greylisted, see you in 300 seconds"),
        ("4.7.1", "Greylisting in action, please come back in 5 minutes"),
        (None, "you are greylisted for 300 s"),
    ],
)
def test_what_is_about_one_recipient_slows_nobody_else_down(enhanced, words):
    pace = Pace()
    said = Outcome(Verdict.DEFERRED, Phase.RCPT, 450, enhanced, words, timedelta(minutes=5))
    pace.answered(D, said, 10.0)
    assert pace.ready_at(D) == 0.0
