"""The state of a run says what became of its notifications."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost import Report
from waypost.model.states import State
from waypost.tasks.run_state import LONGEST_MESSAGE, run_state, state_named_by

BATCH = UUID(int=1)
DECIDES = "a person decides: `waypost list --state held`"
TRY = datetime(2026, 3, 25, 14, 15, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("states", "more", "kind", "name", "message"),
    [
        ({}, {}, "COMPLETED", "Completed", "nothing was due"),
        ({"sent": 36}, {}, "COMPLETED", "Completed", "36 sent"),
        (
            {"held": 2, "sent": 1}, {"reasons": ["in doubt; a person decides: lost"]}, "COMPLETED", "Held",
            f"2 held, 1 sent; {DECIDES}: in doubt; a person decides: lost",
        ),
        ({"held": 1, "deferred": 1}, {}, "COMPLETED", "Held", f"1 deferred, 1 held; {DECIDES}"),
        ({"failed": 1, "held": 2}, {}, "FAILED", "PartlyFailed", f"1 failed, 2 held; {DECIDES}"),
        ({}, {"note": "note is held: -", "held": True}, "COMPLETED", "Held", "note is held: -"),
        ({}, {"note": "1 accepted before"}, "COMPLETED", "Completed", "1 accepted before"),
        ({}, {"refused": 1}, "FAILED", "Failed", "1 not accepted"),
        ({"sent": 2}, {"refused": 1}, "FAILED", "PartlyFailed", "1 not accepted, 2 sent"),
        ({}, {"note": "nothing again", "left": {"failed": 1}}, "FAILED", "Failed", "nothing again"),
        ({"sent": 1}, {"left": {"failed": 1, "held": 1}}, "FAILED", "Failed", "1 sent"),
        ({"sent": 1}, {"left": {"accepted": 2}}, "COMPLETED", "Deferred", "1 sent"),
        ({"sent": 1}, {"left": {"deferred": 2, "held": 1}}, "COMPLETED", "Held", "1 sent"),
        ({"sent": 1}, {"left": {"cancelled": 2}}, "COMPLETED", "Completed", "1 sent"),
        ({"cancelled": 1}, {}, "COMPLETED", "Completed", "1 cancelled"),
        (
            {"deferred": 2, "sent": 34}, {"next_try": TRY, "reasons": ["451 4.7.1 later"]},
            "COMPLETED", "Deferred", "2 deferred, 34 sent; next try 2026-03-25 14:15:20 UTC: 451 4.7.1 later",
        ),
        (
            {"failed": 1, "sent": 2}, {"reasons": ["550 5.1.1 no such user"]},
            "FAILED", "PartlyFailed", "1 failed, 2 sent: 550 5.1.1 no such user",
        ),
        ({"failed": 1, "deferred": 2}, {}, "FAILED", "PartlyFailed", "2 deferred, 1 failed"),
        ({"failed": 2}, {}, "FAILED", "Failed", "2 failed"),
        ({"sent": 2}, {"trouble": "the source failed: x"}, "FAILED", "PartlyFailed",
         "2 sent, the source failed: x"),
        ({}, {"trouble": "the source failed: x", "note": "y"}, "FAILED", "Failed", "the source failed: x; y"),
        ({"failed": 1, "expired": 1}, {}, "FAILED", "Failed", "1 expired, 1 failed"),
    ],
)  # fmt: skip
def test_each_end_has_its_state(states, more, kind, name, message):
    found = run_state(Report(type="note", batch=BATCH, states=states, **more))
    assert (found.type.value, found.name, found.message) == (kind, name, message)


@given(
    st.dictionaries(st.sampled_from(State), st.integers(1, 1000)), st.lists(st.text(max_size=900), max_size=3)
)
def test_whatever_ends_as_it_does_the_state_has_a_message_that_fits(states, reasons):
    found = run_state(Report(type="note", batch=BATCH, states=states, reasons=reasons))
    assert 0 < len(found.message) <= LONGEST_MESSAGE
    assert found.is_failed() == bool(states.keys() & {State.FAILED, State.EXPIRED})


@pytest.mark.parametrize(
    ("more", "text", "name"),
    [
        ({}, "nothing was due", "Completed"),
        ({"note": "1 accepted before"}, "nothing was sent", "Completed"),
        ({"note": "note is held: -", "held": True}, "note is held", "Held"),
    ],
)
def test_a_run_without_notifications_says_why_and_its_summary_names_the_state(more, text, name):
    report = Report(type="note", batch=BATCH, **more)
    assert (str(report), state_named_by(str(report))[1]) == (text, name)
