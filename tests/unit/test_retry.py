"""What happens next."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost import Doubt, Priority, RetryPolicy
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy import retry as policy
from waypost.policy.retry import Decision
from waypost.system.clock import use_clock
from waypost.system.ids import new_id

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ADA = ResolvedRecipient("ada", "ada@a.example", None, "Ada", "en", "UTC")
RETRY = RetryPolicy(first=timedelta(seconds=30), factor=2.0, longest=timedelta(hours=1))


def after(outcome, **changed):
    known = {
        "retry": RETRY, "doubt": Doubt.RESEND, "tries": 1, "in_doubt": 0,
        "expires_at": LATER, "now": NOW, "jitter": 0.0,
    }  # fmt: skip
    return policy.after(outcome, **{**known, **changed})


@pytest.mark.parametrize(
    ("tries", "jitter", "seconds"),
    [(1, 0, 30), (2, 0, 60), (3, 0, 120), (7, 0, 1920), (8, 0, 3600), (500, 0, 3600), (1, 0.5, 33.75)],
)
def test_a_wait_doubles_up_to_the_longest(tries, jitter, seconds):
    assert policy.backoff(RETRY, tries, jitter) == timedelta(seconds=seconds)


@pytest.mark.parametrize("factor", [1.0, 3.0, 10.0, 1000.0])
def test_no_number_of_tries_is_too_many_for_any_factor(factor):
    retry = RetryPolicy(first=timedelta(hours=1), factor=factor, longest=timedelta(hours=1))
    assert policy.backoff(retry, 10_000, 0) == timedelta(hours=1)


@given(tries=st.integers(1, 100), jitter=st.floats(0, 1, exclude_max=True))
def test_jitter_adds_at_most_a_quarter(tries, jitter):
    plain = policy.backoff(RETRY, tries, 0)
    assert plain <= policy.backoff(RETRY, tries, jitter) <= plain * 1.25


@given(st.integers(1, 100))
def test_waits_never_get_shorter(tries):
    assert policy.backoff(RETRY, tries, 0) <= policy.backoff(RETRY, tries + 1, 0)


@pytest.mark.parametrize(
    ("verdict", "in_doubt", "state", "due", "refused"),
    [
        (Verdict.ACCEPTED, 0, State.SENT, None, False),
        (Verdict.ACCEPTED, 1, State.SENT, None, False),
        (Verdict.REFUSED, 0, State.FAILED, None, True),
        (Verdict.REFUSED, 1, State.FAILED, None, False),
        (Verdict.DEFERRED, 0, State.DEFERRED, NOW + timedelta(seconds=30), False),
        (Verdict.DEFERRED, 1, State.DEFERRED, NOW + timedelta(seconds=30), False),
        (Verdict.UNKNOWN, 0, State.DEFERRED, NOW + timedelta(seconds=30), False),
        (Verdict.UNKNOWN, 1, State.HELD, None, False),
        (Verdict.UNKNOWN, 2, State.HELD, None, False),
    ],
)
def test_every_verdict_has_one_consequence(verdict, in_doubt, state, due, refused):
    decision = after(Outcome(verdict, Phase.DOT), in_doubt=in_doubt)
    assert (decision.state, decision.due, decision.falls_back) == (state, due, refused)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN])
def test_the_reason_keeps_the_providers_words(verdict):
    decision = after(Outcome(verdict, Phase.RCPT, 451, "4.7.1", "Come back tomorrow"))
    assert "451 4.7.1 Come back tomorrow" in decision.reason


@pytest.mark.parametrize(("tries", "waits"), [(1, 300), (4, 300), (5, 480), (9, 3600)])
def test_a_wait_the_server_names_is_the_least_of_the_growing_wait(tries, waits):
    outcome = Outcome(Verdict.DEFERRED, Phase.RCPT, 451, wait=timedelta(minutes=5))
    assert after(outcome, tries=tries).due == NOW + timedelta(seconds=waits)


@pytest.mark.parametrize("named", [None, 1, 60, 1800])
@pytest.mark.parametrize("jitter", [0.0, 0.99])
def test_what_is_deferred_for_a_day_has_at_most_thirty_runs(named, jitter):
    outcome = Outcome(Verdict.DEFERRED, Phase.RCPT, 451, wait=timedelta(seconds=named) if named else None)
    runs, moment, state = 0, NOW, State.DEFERRED
    while state is State.DEFERRED:
        runs += 1
        decision = after(outcome, retry=RetryPolicy(), tries=runs, now=moment, jitter=jitter)
        moment, state = decision.due, decision.state
    assert 12 < runs <= 30


def test_each_further_try_waits_longer():
    outcome = Outcome(Verdict.DEFERRED, Phase.RCPT, 451)
    assert [after(outcome, tries=n).due - NOW for n in (1, 2, 3)] == [
        timedelta(seconds=30),
        timedelta(seconds=60),
        timedelta(seconds=120),
    ]


@pytest.mark.parametrize(
    ("left", "state", "refused"),
    [(0, "expired", False), (1, "failed", True), (30, "failed", True), (31, "deferred", False)],
)
def test_a_provider_that_has_no_time_left_lets_the_next_one_try_until_the_deadline(left, state, refused):
    decision = after(Outcome(Verdict.DEFERRED, Phase.RCPT), expires_at=NOW + timedelta(seconds=left))
    assert (decision.state, decision.falls_back) == (state, refused)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.DEFERRED])
@pytest.mark.parametrize("in_doubt", [1, 2])
def test_what_a_provider_may_have_delivered_goes_over_no_other_and_the_reason_says_so(verdict, in_doubt):
    soon = NOW + timedelta(seconds=1)
    decision = after(Outcome(verdict, Phase.RCPT), expires_at=soon, in_doubt=in_doubt)
    assert (decision.state, decision.falls_back) == (State.FAILED, False)
    assert policy.NO_OTHER in decision.reason


@pytest.mark.parametrize(("left", "state"), [(29, "expired"), (30, "expired"), (31, "deferred")])
def test_in_doubt_with_no_time_to_send_again_it_expires_and_never_falls_back(left, state):
    decision = after(Outcome(Verdict.UNKNOWN, Phase.DOT), expires_at=NOW + timedelta(seconds=left))
    assert (decision.state, decision.falls_back) == (state, False)


@pytest.mark.parametrize(
    ("doubt", "before", "state"),
    [
        (Doubt.RESEND, 0, "deferred"),
        (Doubt.RESEND, 1, "held"),
        (Doubt.HOLD, 0, "held"),
        (Doubt.DROP, 0, "failed"),
    ],
)
def test_the_type_says_what_a_doubt_leads_to(doubt, before, state):
    decision = after(Outcome(Verdict.UNKNOWN, Phase.DOT), doubt=doubt, in_doubt=before)
    assert (decision.state, decision.falls_back) == (state, False)


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        (LATER - timedelta(seconds=1), Decision(State.DEFERRED, "down", due=LATER - timedelta(seconds=1))),
        (LATER, Decision(State.FAILED, "no time left for a retry: down", falls_back=True)),
        (
            LATER + timedelta(days=1),
            Decision(State.FAILED, "no time left for a retry: down", falls_back=True),
        ),
    ],
)
def test_deferring_keeps_to_the_deadline(due, expected):
    assert policy.defer("down", due=due, expires_at=LATER, now=NOW) == expected


@pytest.mark.parametrize(("seconds", "too_late"), [(-1, True), (0, True), (1, False)])
def test_the_deadline_itself_is_too_late(seconds, too_late):
    expires_at = NOW + timedelta(seconds=seconds)
    note = Notification(new_id(), "n", Priority.NORMAL, ADA, {}, 1, NOW - timedelta(hours=1), expires_at)
    with use_clock(lambda: NOW):
        assert note.expired is too_late


@given(st.integers(1, 10_000), st.integers(0, 10**6))
def test_a_wait_is_never_cut_short_and_at_most_a_tenth_longer(seconds, late):
    moment, wait = NOW + timedelta(milliseconds=late), timedelta(seconds=seconds)
    assert moment + wait <= policy.due_after(wait, moment) <= moment + wait * 1.1 + timedelta(milliseconds=1)


def test_what_is_deferred_within_a_moment_comes_back_together():
    wait = timedelta(seconds=30)
    due = {policy.due_after(wait, NOW + timedelta(milliseconds=30 * n + 1)) for n in range(90)}
    assert len(due) == 1
