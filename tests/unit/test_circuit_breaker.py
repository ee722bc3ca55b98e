"""A circuit opens when a provider does not work, and closes when a probe was taken."""

import pytest

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy.circuit_breaker import (
    FAILURES,
    LONGEST_OPEN_SECONDS,
    OPEN_SECONDS,
    OTHERS_FIRST_SECONDS,
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


SPAM = Outcome(Verdict.REFUSED, Phase.DOT, code=554, enhanced="5.7.1", words="Spam message rejected")
OURS = Outcome(Verdict.DEFERRED, Phase.RCPT, code=554, words="relay access denied", about_us="relaying")


@pytest.mark.parametrize("refusal", [SPAM, OURS])
def test_refusals_of_one_clients_mail_do_not_open_it_and_of_two_they_do(refusal):
    breaker = CircuitBreaker()
    for _ in range(WINDOW * 2):
        breaker.record_outcome(refusal, 0.0, "alpha")
    assert breaker.state is CircuitState.CLOSED
    for number in range(WINDOW):
        breaker.record_outcome(refusal, 0.0, ("alpha", "beta")[number % 2])
    assert breaker.state is CircuitState.OPEN


def test_a_few_refusals_of_another_client_do_not_make_it_the_providers_fault():
    breaker = CircuitBreaker()
    for number in range(WINDOW * 5):
        breaker.record_outcome(SPAM, 0.0, "beta" if number % 5 == 0 else "alpha")
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("client", ["", "alpha"])
def test_what_is_no_refusal_counts_whosever_mail_it_was(client):
    breaker = CircuitBreaker()
    for _ in range(FAILURES):
        breaker.record_outcome(Outcome(Verdict.DEFERRED, Phase.RCPT, words="connection lost"), 0.0, client)
    assert breaker.state is CircuitState.OPEN


def test_a_probe_whose_content_is_refused_shows_that_the_provider_works_again():
    breaker = opened()
    assert breaker.allows(breaker.until, "alpha")
    breaker.record_outcome(SPAM, breaker.until, "alpha")
    assert breaker.state is CircuitState.CLOSED


def test_a_probe_whose_content_is_refused_keeps_a_circuit_open_that_such_refusals_opened_and_no_longer():
    breaker = CircuitBreaker()
    for _ in range(WINDOW):
        breaker.record_outcome(SPAM, 0.0)
    for _ in range(5):
        moment = breaker.until
        assert breaker.allows(moment)
        breaker.record_outcome(SPAM, moment)
        assert (breaker.state, breaker.until - moment) == (CircuitState.OPEN, OPEN_SECONDS)


def test_the_client_whose_message_opened_it_probes_after_others():
    breaker = opened()
    assert breaker.allows(breaker.until, "alpha")
    breaker.record_outcome(OURS, breaker.until, "alpha")
    moment = breaker.until
    assert not breaker.allows(moment, "alpha")
    assert breaker.allows(moment, "beta")
    breaker.release_probe()
    assert breaker.allows(moment + OTHERS_FIRST_SECONDS, "alpha"), "but it probes, if no other comes"
