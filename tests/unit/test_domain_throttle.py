"""A domain that defers is offered less, and grows back slowly."""

from datetime import timedelta
from itertools import pairwise

import pytest

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.priority import Priority
from waypost.policy.domain_throttle import (
    LONGEST,
    LONGEST_PAUSE,
    MOST_DOMAINS,
    PROBE,
    SHORTEST,
    DomainThrottle,
)

TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)
D = "northwind.example"
URGENT, NORMAL, BULK = Priority


def deferral(code=450, wait=None, phase=Phase.RCPT):
    return Outcome(Verdict.DEFERRED, phase, code=code, words="slow down", wait=wait)


def test_a_domain_that_never_deferred_has_no_pace():
    pace = DomainThrottle()
    for _ in range(1000):
        assert pace.next_allowed_at(D) == 0.0
        pace.record_send(D, 5.0)
        pace.record_outcome(D, TAKEN, 5.0)


def test_each_deferral_doubles_the_pause_up_to_a_limit():
    pace, pauses = DomainThrottle(), []
    for _ in range(20):
        pace.record_outcome(D, deferral(), 0.0)
        pace.record_send(D, 1000.0)
        pauses.append(pace.next_allowed_at(D) - 1000.0)
    assert pauses[:3] == pytest.approx([SHORTEST, SHORTEST * 2, SHORTEST * 4])
    assert pauses[-1] == LONGEST


def test_the_wait_its_words_name_is_honoured():
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(minutes=5)), 10.0)
    assert pace.next_allowed_at(D) == 310.0
    assert pace.next_allowed_at("other.example") == 0.0


def test_a_wait_of_hours_is_the_messages_and_not_the_whole_domains():
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(hours=5)), 10.0)
    assert pace.next_allowed_at(D) == 10.0 + LONGEST_PAUSE


def test_it_grows_back_slowly_and_is_then_forgotten():
    pace = DomainThrottle()
    for _ in range(5):
        pace.record_outcome(D, deferral(), 0.0)
    taken = 0
    while pace.next_allowed_at(D):
        pace.record_outcome(D, TAKEN, 0.0)
        taken += 1
    assert 20 < taken < 60


@pytest.mark.parametrize("code", [421, 450, 451, 452, 454])
def test_what_slows_down(code):
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(code), 0.0)
    assert pace.next_allowed_at(D) > 0


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
    pace = DomainThrottle()
    pace.record_outcome(D, outcome, 0.0)
    assert pace.next_allowed_at(D) == 0.0


def test_no_more_domains_are_kept_than_it_may():
    pace = DomainThrottle()
    for number in range(MOST_DOMAINS + 10):
        pace.record_outcome(f"d{number}.example", deferral(), 0.0)
    assert pace.next_allowed_at("d0.example") == 0.0
    assert pace.next_allowed_at(f"d{MOST_DOMAINS + 9}.example") > 0


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
    pace = DomainThrottle()
    said = Outcome(Verdict.DEFERRED, Phase.RCPT, 450, enhanced, words, timedelta(minutes=5))
    pace.record_outcome(D, said, 10.0)
    assert pace.next_allowed_at(D) == 0.0


def paced(interval, moment=0.0):
    """A domain that wants so many seconds between two messages."""
    pace = DomainThrottle()
    while pace.next_allowed_at(D) - moment < interval:
        pace.record_outcome(D, deferral(), moment, BULK)
    return pace


@pytest.mark.parametrize("lane", [NORMAL, BULK])
def test_an_urgent_message_goes_at_once_whatever_other_lanes_were_told(lane):
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(minutes=10)), 0.0, lane)
    assert pace.next_allowed_at(D, lane) == 600.0
    assert pace.next_allowed_at(D, URGENT) == 0.0


def test_through_a_pause_one_urgent_message_probes_and_the_others_wait_for_its_answer():
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(minutes=10)), 0.0, BULK)
    pace.record_send(D, 1.0, URGENT)
    assert pace.next_allowed_at(D, URGENT) == 1.0 + PROBE
    assert pace.next_allowed_at(D, BULK) == 600.0


def test_a_probe_that_is_taken_ends_the_pause_for_all():
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(minutes=10)), 0.0, BULK)
    pace.record_send(D, 1.0, URGENT)
    pace.record_outcome(D, TAKEN, 2.0, URGENT)
    assert 2.0 < pace.next_allowed_at(D, URGENT) == pace.next_allowed_at(D, BULK) < 2.0 + SHORTEST


def test_a_probe_that_is_deferred_lets_urgent_messages_keep_the_pause_too():
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(minutes=10)), 0.0, BULK)
    pace.record_send(D, 100.0, URGENT)
    pace.record_outcome(D, deferral(421, timedelta(minutes=10)), 101.0, URGENT)
    assert pace.next_allowed_at(D, URGENT) == pace.next_allowed_at(D, BULK) == 701.0


def test_a_probe_of_which_nothing_is_heard_is_followed_by_another():
    pace = DomainThrottle()
    pace.record_outcome(D, deferral(421, timedelta(minutes=10)), 0.0, BULK)
    pace.record_send(D, 1.0, URGENT)
    pace.record_send(D, 1.0 + PROBE, URGENT)
    assert pace.next_allowed_at(D, URGENT) == 1.0 + 2 * PROBE


def test_bulk_takes_no_slot_from_urgent_messages_and_leaves_them_the_next():
    pace = paced(10.0)
    interval = pace.next_allowed_at(D)
    pace.record_send(D, 1000.0, BULK)
    assert pace.next_allowed_at(D, URGENT) <= 1000.0
    pace.record_send(D, 1001.0, URGENT)
    assert pace.next_allowed_at(D, URGENT) == 1001.0 + interval
    assert pace.next_allowed_at(D, BULK) == 1001.0 + 2 * interval


def test_urgent_messages_keep_their_distance_from_each_other():
    pace, gone, moment = paced(10.0), [], 1000.0
    interval = pace.next_allowed_at(D)
    for _ in range(5):
        moment = max(moment, pace.next_allowed_at(D, URGENT))
        gone.append(moment)
        pace.record_send(D, moment, URGENT)
    assert [b - a for a, b in pairwise(gone)] == pytest.approx([interval] * 4)
