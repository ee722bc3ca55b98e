"""A circuit opens when a provider does not work, and closes when a probe was taken."""

import pytest

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy.circuit_breaker import (
    FAILURES,
    LONGEST_OPEN_SECONDS,
    OPEN_SECONDS,
    WINDOW,
    CircuitBreaker,
    CircuitState,
)

TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)
BLOCKED = Outcome(Verdict.REFUSED, Phase.MAIL, code=550, enhanced="5.7.1", words="you are blocked")
NOBODY = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, enhanced="5.1.1", words="no such user")


def opened(at=0.0):
    breaker = CircuitBreaker()
    for _ in range(FAILURES):
        assert breaker.allows(at)
        breaker.record_failure("connection refused", at)
    return breaker


def test_it_opens_after_some_failures_in_a_row_and_says_why():
    breaker = opened()
    assert breaker.state is CircuitState.OPEN
    assert not breaker.allows(OPEN_SECONDS - 1)
    assert breaker.describe(5.0) == f"open for {OPEN_SECONDS - 5:.0f} s: connection refused"


def test_a_success_between_failures_keeps_it_closed():
    breaker = CircuitBreaker()
    for _ in range(10):
        breaker.record_failure("reset", 0.0)
        breaker.record_outcome(TAKEN, 0.0)
    assert breaker.state is CircuitState.CLOSED


def test_after_its_rest_one_probe_goes_and_no_other():
    breaker = opened()
    assert breaker.is_open(OPEN_SECONDS - 1)
    assert not breaker.is_open(OPEN_SECONDS)
    assert breaker.allows(OPEN_SECONDS)
    assert not breaker.allows(OPEN_SECONDS)
    assert breaker.is_open(OPEN_SECONDS)
    breaker.record_outcome(TAKEN, OPEN_SECONDS + 1)
    assert breaker.allows(OPEN_SECONDS + 1)
    assert breaker.allows(OPEN_SECONDS + 1)


def test_a_probe_that_was_not_made_is_left_to_the_next():
    breaker = opened()
    assert breaker.allows(OPEN_SECONDS)
    breaker.release_probe()
    assert breaker.allows(OPEN_SECONDS)


def test_each_failed_probe_doubles_the_rest_up_to_a_limit():
    breaker, moment, rests = opened(), 0.0, []
    for _ in range(8):
        rests.append(breaker.until - moment)
        moment = breaker.until
        assert breaker.allows(moment)
        breaker.record_failure("still down", moment)
    assert rests[:3] == [OPEN_SECONDS, OPEN_SECONDS * 2, OPEN_SECONDS * 4]
    assert rests[-1] == LONGEST_OPEN_SECONDS


def test_a_connection_lost_before_the_message_counts_as_one_that_failed_and_one_in_doubt_does_not():
    lost = Outcome(Verdict.DEFERRED, Phase.RCPT, words="connection lost")
    doubtful = Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost")
    breaker, other = CircuitBreaker(), CircuitBreaker()
    for _ in range(FAILURES):
        breaker.record_outcome(lost, 0.0)
        other.record_outcome(doubtful, 0.0)
    assert (breaker.state, other.state) == (CircuitState.OPEN, CircuitState.CLOSED)


@pytest.mark.parametrize(
    ("refusal", "circuit"), [(BLOCKED, CircuitState.OPEN), (NOBODY, CircuitState.CLOSED)]
)
def test_refusals_that_are_about_us_open_it_and_those_about_a_recipient_do_not(refusal, circuit):
    breaker = CircuitBreaker()
    for _ in range(WINDOW):
        breaker.record_outcome(refusal, 0.0)
    assert breaker.state is circuit


def test_some_refusals_among_many_messages_taken_do_not_open_it():
    breaker = CircuitBreaker()
    for number in range(WINDOW * 5):
        breaker.record_outcome(BLOCKED if number % 2 else TAKEN, 0.0)
    assert breaker.state is CircuitState.CLOSED
