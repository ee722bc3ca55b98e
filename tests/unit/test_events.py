"""The events of failed mail: one for each reason, without addresses."""

from types import SimpleNamespace

import pytest

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.system.ids import new_id
from waypost.tasks.events import OTHER, REASONS, failed_by_reason


def ended(reason, code=None, state=State.FAILED):
    outcome = Outcome(Verdict.REFUSED, Phase.RCPT, code=code, enhanced="5.1.1") if code else None
    return SimpleNamespace(
        state=state,
        reason=reason,
        outcome=outcome,
        provider="smtp",
        notification=SimpleNamespace(id=new_id()),
    )


def told(*ends):
    return [(one.count, one.reason) for one in failed_by_reason(ends)]


def test_replies_with_the_same_codes_are_one_reason_without_an_address():
    found = told(
        *(ended(f"550 5.1.1 <ada{n}@a.example>: unknown", 550) for n in range(40)), ended("too large")
    )
    assert found == [(40, "550 5.1.1 <a***0@a.example>: unknown"), (1, "too large")]


def test_what_did_not_fail_is_not_told():
    assert told(ended("later", state=State.DEFERRED), ended("", state=State.SENT)) == []


@pytest.mark.parametrize("reasons", [REASONS, REASONS + 1, 500])
def test_a_batch_has_few_events_that_count_all(reasons):
    found = told(*(ended(f"reason {n}") for n in range(reasons)))
    assert len(found) == REASONS
    assert sum(count for count, _ in found) == reasons
    assert (found[-1][1] == OTHER) is (reasons > REASONS)
