"""How long a lease has stood still, as far as its owner could have renewed it."""

from datetime import UTC, datetime, timedelta

import pytest

from waypost.ledger.queue.renewal_clock import Stillness
from waypost.system.ids import new_id

A, B = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=30)
ID = new_id()
FAILS = "a look fails"


@pytest.mark.parametrize(
    ("looks", "still"),
    [
        ([(0, A)], 0),
        ([(0, A), (3, A), (6, A)], 6),
        ([(0, A), (3, A), (6, B)], 0),
        ([(0, A), (3, B), (6, B)], 3),
        ([(0, A), (3, A), FAILS, (44, A)], 0),
        ([(0, A), (3, A), FAILS, (44, A), (47, A)], 3),
        ([(0, A), (44, A)], 6),
    ],
    ids=[
        "seen once", "never renewed", "renewed", "not renewed again", "unseen for an outage",
        "counted anew after an outage", "a look that hung counts as two",
    ],
)  # fmt: skip
def test_only_time_in_which_it_could_be_renewed_counts(looks, still):
    stillness = Stillness(longest=6)
    for look in looks:
        if look == FAILS:
            stillness.forget()
        else:
            found = stillness.look({ID: look[1]}, look[0])
    assert found == {ID: still}
    assert stillness.over(still - 1) == [ID]
    assert stillness.over(still) == []
