"""Whether a suppressed address keeps a notification from being sent. Pure.

precedence.py asks it before it asks what the recipient chose.
"""

from __future__ import annotations

from waypost.model.permission import Circumstances, Rule, Verdict
from waypost.model.suppression import Cause, Suppressed


def left(found: Circumstances) -> tuple[str, ...]:
    """The kinds of channels whose address is not suppressed."""
    return tuple(kind for kind in found.kinds if not found.suppressed.get(kind))


def stops(found: Circumstances) -> Verdict | None:
    """The verdict on a notification whose every address is suppressed; None for another."""
    if not found.kinds or left(found):
        return None
    return Verdict(Rule.SUPPRESSION, why=str(next(iter(found.suppressed[found.kinds[0]]))))


def is_bounce(one: Suppressed) -> bool:
    """Whether the mail server of the address said that there is no such mailbox."""
    return one.cause is Cause.HARD_BOUNCE


def overridden(found: Circumstances) -> str:
    """Which suppression a mandatory notification is sent in spite of, for people; empty if there is none."""
    stopped = [one for kind in found.kinds for one in found.suppressed.get(kind, ())]
    return f"although suppressed: {stopped[0]}" if stopped else ""
