"""How the notification that ends its runs is found."""

import pytest

from waypost.policy import poison_item
from waypost.policy.poison_item import (
    ALONE,
    after_a_death,
    after_a_failure,
    guilty,
    pause_after_a_death,
    together,
)


@pytest.mark.parametrize(
    ("suspicion", "most", "size"),
    [(0, 500, 500), (1, 500, 250), (8, 500, 1), (1, 25, 12), (4, 25, 1), (0, 1, 1), (ALONE + 2, 500, 1)],
)
def test_suspicion_halves_a_batch(suspicion, most, size):
    assert together(suspicion, most) == size


@pytest.mark.parametrize("most", [1, 2, 25, 500, 65536])
def test_it_halves_every_batch_until_a_notification_is_alone(most):
    assert together(ALONE, most) == 1


@pytest.mark.parametrize(
    ("before", "size", "then"), [(0, 500, 250), (0, 40, 20), (0, 3, 1), (1, 250, 125), (3, 2, 1)]
)
def test_after_a_failure_the_next_batch_is_half_of_what_failed_at_most(before, size, then):
    after = after_a_failure(before, size, most=500)
    assert together(after, 500) <= then
    assert not guilty(after)


def test_only_failures_alone_make_it_guilty():
    failed, found = 0, []
    for _ in range(poison_item.FAILURES):
        failed = after_a_failure(failed, size=1, most=500)
        found.append(guilty(failed))
    assert found == [False, False, True]


@pytest.mark.parametrize("before", [0, ALONE, ALONE + 2])
def test_however_often_its_process_dies_it_is_not_guilty(before):
    after = before
    for _ in range(100):
        after = after_a_death(after)
    assert not guilty(after)
    assert after == max(before, ALONE)


def test_deaths_lead_to_growing_pauses_and_the_first_to_none():
    pauses = [pause_after_a_death(number, jitter=0.0).total_seconds() for number in range(1, ALONE + 1)]
    assert pauses[:4] == [0, 5, 15, 35]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 600
    assert pause_after_a_death(3, jitter=0.5).total_seconds() == 22.5
