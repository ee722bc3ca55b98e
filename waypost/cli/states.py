"""How states are shown: their colours, and reasons beside them."""

from __future__ import annotations

from waypost.model.states import State

_STYLES = {
    State.SENT: "green",
    **dict.fromkeys((State.FAILED, State.EXPIRED), "red"),
    **dict.fromkeys((State.DEFERRED, State.HELD), "yellow"),
    **dict.fromkeys((State.CANCELLED, State.SUPPRESSED), "dim"),
    **dict.fromkeys((State.ACCEPTED, State.CLAIMED, State.SENDING), "cyan"),
}


def style_of(state: str) -> str:
    """The rich style of a state; empty for a state that Waypost does not know."""
    return _STYLES.get(State(state), "") if state in set(State) else ""


def without_state(state: str, reason: str) -> str:
    """A reason to stand beside its state, which it may begin with: `deferred at rcpt` is `at rcpt`."""
    rest = reason.removeprefix(state)
    return rest.lstrip(" :") if rest != reason and not rest[:1].isalnum() else reason
