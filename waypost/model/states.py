"""The states of a notification and how it may move between them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a notification is."""

    ACCEPTED = "accepted"  # durable, waiting for a run
    HELD = "held"  # waiting, as its reason says: for a digest, for a person
    CLAIMED = "claimed"  # claimed by one run, nothing sent yet
    SENDING = "sending"  # an attempt has begun
    DEFERRED = "deferred"  # due again later, for example because a provider deferred it
    SENT = "sent"  # the next hop took responsibility
    SUPPRESSED = "suppressed"  # policy said no
    EXPIRED = "expired"  # its deadline passed before it could go
    FAILED = "failed"  # every way was refused
    CANCELLED = "cancelled"  # a person or the product withdrew it


TERMINAL = frozenset({State.SENT, State.SUPPRESSED, State.EXPIRED, State.FAILED, State.CANCELLED})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.ACCEPTED: frozenset(
        {
            State.CLAIMED,
            State.HELD,
            State.SENT,  # a late answer; possible from every state that follows a doubt
            State.SUPPRESSED,
            State.EXPIRED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.HELD: frozenset(
        {
            State.ACCEPTED,
            State.CLAIMED,
            State.DEFERRED,
            State.SENT,
            State.SUPPRESSED,
            State.EXPIRED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.CLAIMED: frozenset(
        {
            State.SENDING,
            State.ACCEPTED,  # its run was lost, it is free again
            State.DEFERRED,
            State.HELD,
            State.SENT,  # an item of a digest, with its digest
            State.SUPPRESSED,
            State.EXPIRED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.SENDING: frozenset(
        {
            State.SENDING,  # the next step of its route
            State.CLAIMED,  # the provider did not open, nothing was sent
            State.ACCEPTED,  # its run was lost between two steps, with nothing on the wire
            State.SENT,
            State.DEFERRED,
            State.HELD,
            State.EXPIRED,
            State.FAILED,
        }
    ),
    State.DEFERRED: frozenset(
        {
            State.CLAIMED,
            State.ACCEPTED,
            State.DEFERRED,
            State.HELD,  # a person cancelled its run
            State.SENT,
            State.SUPPRESSED,
            State.EXPIRED,
            State.FAILED,
            State.CANCELLED,
        }
    ),
    State.SENT: frozenset(),
    State.SUPPRESSED: frozenset(),
    # A person may retry these; the items of a digest are retried with it. A late answer makes them sent.
    State.EXPIRED: frozenset({State.ACCEPTED, State.CLAIMED, State.SENT}),
    State.FAILED: frozenset({State.ACCEPTED, State.CLAIMED, State.SENT}),
    State.CANCELLED: frozenset({State.ACCEPTED, State.CLAIMED}),
}


def may_become(state: State, following: State) -> bool:
    """Whether a notification in `state` may move to `following`."""
    return following in TRANSITIONS[state]


def sources(following: State) -> list[State]:
    """The states from which `following` may be reached: an UPDATE must find one of them."""
    return [state for state in State if may_become(state, following)]
