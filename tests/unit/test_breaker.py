"""A circuit opens when a provider does not work, and closes when a probe was taken."""

import pytest

from waypost.breaker import FAILURES, LONGEST_REST, REST, WINDOW, Breaker, Circuit
from waypost.outcome import Outcome, Phase, Verdict

TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)
BLOCKED = Outcome(Verdict.REFUSED, Phase.MAIL, code=550, enhanced="5.7.1", words="you are blocked")
NOBODY = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, enhanced="5.1.1", words="no such user")


def opened(at=0.0):
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.admits(at)
        breaker.failed("connection refused", at)
    return breaker


def test_it_opens_after_some_failures_in_a_row_and_says_why():
    breaker = opened()
    assert breaker.circuit is Circuit.OPEN
    assert not breaker.admits(REST - 1)
    assert breaker.describe(5.0) == f"left alone for {REST - 5:.0f} s: connection refused"


def test_a_success_between_failures_keeps_it_closed():
    breaker = Breaker()
    for _ in range(10):
        breaker.failed("reset", 0.0)
        breaker.answered(TAKEN, 0.0)
    assert breaker.circuit is Circuit.CLOSED


def test_after_its_rest_one_probe_goes_and_no_other():
    breaker = opened()
    assert breaker.rests(REST - 1)
    assert not breaker.rests(REST)
    assert breaker.admits(REST)
    assert not breaker.admits(REST)
    assert breaker.rests(REST)
    breaker.answered(TAKEN, REST + 1)
    assert breaker.admits(REST + 1)
    assert breaker.admits(REST + 1)


def test_a_probe_that_was_not_made_is_left_to_the_next():
    breaker = opened()
    assert breaker.admits(REST)
    breaker.gave_up()
    assert breaker.admits(REST)


def test_each_failed_probe_doubles_the_rest_up_to_a_limit():
    breaker, moment, rests = opened(), 0.0, []
    for _ in range(8):
        rests.append(breaker.until - moment)
        moment = breaker.until
        assert breaker.admits(moment)
        breaker.failed("still down", moment)
    assert rests[:3] == [REST, REST * 2, REST * 4]
    assert rests[-1] == LONGEST_REST


def test_a_connection_lost_before_the_message_counts_as_one_that_failed_and_one_in_doubt_does_not():
    lost = Outcome(Verdict.DEFERRED, Phase.RCPT, words="connection lost")
    doubtful = Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost")
    breaker, other = Breaker(), Breaker()
    for _ in range(FAILURES):
        breaker.answered(lost, 0.0)
        other.answered(doubtful, 0.0)
    assert (breaker.circuit, other.circuit) == (Circuit.OPEN, Circuit.CLOSED)


@pytest.mark.parametrize(("refusal", "circuit"), [(BLOCKED, Circuit.OPEN), (NOBODY, Circuit.CLOSED)])
def test_refusals_that_are_about_us_open_it_and_those_about_a_recipient_do_not(refusal, circuit):
    breaker = Breaker()
    for _ in range(WINDOW):
        breaker.answered(refusal, 0.0)
    assert breaker.circuit is circuit


def test_some_refusals_among_many_messages_taken_do_not_open_it():
    breaker = Breaker()
    for number in range(WINDOW * 5):
        breaker.answered(BLOCKED if number % 2 else TAKEN, 0.0)
    assert breaker.circuit is Circuit.CLOSED
