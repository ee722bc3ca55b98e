"""How soon a notification goes when there is more to send than can be sent at once."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """A lane of its own each: what is in one never waits behind what is in a later one."""

    URGENT = "urgent"  # somebody is waiting for it now: codes, alerts; goes out without Prefect if need be
    NORMAL = "normal"  # somebody expects it: confirmations, receipts
    BULK = "bulk"  # nobody waits: digests, campaigns

    @property
    def rank(self) -> int:
        """0 goes first."""
        return _ORDER.index(self)


_ORDER = list(Priority)


def room(priority: Priority, running: dict[Priority, int], slots: int) -> int:
    """How many more runs of `priority` may start, of `slots` at once, while `running` do.

    Later lanes leave places free for earlier ones: bulk takes at most half, and the last place (of two
    or more) is only ever given to what is urgent.
    """
    kept_free = 1 if slots > 1 else 0
    most = {Priority.URGENT: slots, Priority.NORMAL: slots - kept_free, Priority.BULK: max(1, slots // 2)}
    behind = sum(count for lane, count in running.items() if lane.rank >= priority.rank)
    return max(0, min(slots - sum(running.values()), most[priority] - behind))
