"""Whether a type is held, decided from both sides and from what they agreed on last."""

import pytest

from waypost.ledger.queue.mirrored_holds import is_held_now


@pytest.mark.parametrize(
    ("held", "paused", "marked", "before", "now"),
    [
        (False, False, False, False, False),
        (True, True, True, True, True),
        (True, False, False, False, True),  # `waypost hold`
        (False, True, True, True, False),  # `waypost release`
        (False, True, False, False, True),  # paused in Prefect
        (True, False, True, True, False),  # resumed in Prefect
        (True, True, False, False, True),  # both at once
        (False, False, True, True, False),
        (True, False, False, None, True),  # a new deployment of a held type
        (False, True, False, None, True),  # paused before Waypost first looked
        (False, False, False, None, False),
        (True, False, False, True, True),  # `prefect deploy` of a held type
        (False, False, False, True, False),  # `prefect deploy` and `waypost release`
        (True, True, False, True, True),  # `prefect deploy` and a pause, or the mark taken away
        (False, True, True, False, False),  # Waypost's pause came after `waypost release`
        (False, False, True, False, False),
    ],
)
def test_the_side_that_a_person_changed_wins(held, paused, marked, before, now):
    assert is_held_now(held, paused, marked, before) is now
