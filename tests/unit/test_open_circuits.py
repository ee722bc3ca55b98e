"""What a provider's state says of its open circuits."""

from datetime import UTC, datetime, timedelta

import pytest

from waypost.delivery.provider_state import ProviderState
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy.circuit_breaker import FAILURES, OPEN_SECONDS
from waypost.system.clock import use_clock

pytestmark = pytest.mark.anyio
ACCEPTED = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)


class Clock:
    time = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    made = Clock()
    with use_clock(made):
        yield made


async def test_a_circuit_is_open_since_the_first_failure_with_its_cause_and_next_try(clock):
    state, first = ProviderState("smtp"), clock.time
    for _ in range(FAILURES):
        assert state.open_circuits() == []
        state.record_failure("ada@a.example: no route")
        clock.time += timedelta(seconds=3)
    [circuit] = state.open_circuits()
    assert (circuit.provider, circuit.client, circuit.since) == ("smtp", "", first)
    assert circuit.why == "a***a@a.example: no route"
    assert circuit.until is not None
    assert 0 < (circuit.until - clock.time).total_seconds() <= OPEN_SECONDS


async def test_a_message_that_was_taken_ends_the_series_of_failures(clock):
    state = ProviderState("smtp")
    state.record_failure("no route")
    clock.time += timedelta(minutes=5)
    state.record_outcome("a.example", ACCEPTED)
    clock.time += timedelta(minutes=5)
    for _ in range(FAILURES):
        state.record_failure("no route")
    [circuit] = state.open_circuits()
    assert circuit.since == clock.time
