"""The life of a notification, written out a second time."""

import pytest

from waypost.model.states import TERMINAL, TRANSITIONS, State, may_become, sources

LEGAL = {
    "accepted": "claimed held sent suppressed expired failed cancelled",
    "held": "accepted claimed deferred sent suppressed expired failed cancelled",
    "claimed": "accepted held sending deferred sent suppressed expired failed cancelled",
    "sending": "accepted claimed held sending deferred sent expired failed",
    "deferred": "accepted claimed deferred held sent suppressed expired failed cancelled",
    "sent": "",
    "suppressed": "",
    "expired": "accepted claimed sent",
    "failed": "accepted claimed sent",
    "cancelled": "accepted claimed",
}


@pytest.mark.parametrize("following", State)
@pytest.mark.parametrize("state", State)
def test_a_state_may_become_what_the_table_says_and_nothing_else(state, following):
    assert may_become(state, following) == (following in LEGAL[state].split())


@pytest.mark.parametrize("following", State)
def test_an_update_looks_for_every_state_it_may_come_from(following):
    assert sources(following) == [state for state in State if following in LEGAL[state].split()]


def test_the_ends_are_five_and_only_a_person_or_a_late_answer_moves_on_from_one():
    assert set(TERMINAL) == {"sent", "suppressed", "expired", "failed", "cancelled"}
    assert all(TRANSITIONS[state] <= {State.ACCEPTED, State.CLAIMED, State.SENT} for state in TERMINAL)
    assert not TRANSITIONS[State.SENT]


@pytest.mark.parametrize("start", [State.ACCEPTED, State.HELD])
def test_every_state_is_reached_from_where_notifications_begin(start):
    reached, edge = {start}, {start}
    while edge:
        edge = {following for state in edge for following in TRANSITIONS[state]} - reached
        reached |= edge
    assert reached == set(State)


@pytest.mark.parametrize("state", sorted(set(State) - TERMINAL))
def test_no_state_is_a_trap(state):
    reached = {state}
    for _ in State:
        reached |= {following for each in reached for following in TRANSITIONS[each]}
    assert reached >= {State.SENT, State.EXPIRED, State.FAILED}
