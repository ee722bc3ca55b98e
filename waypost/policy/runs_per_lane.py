"""How many runs of each priority may start."""

from __future__ import annotations

from waypost.model.priority import Priority


def free_slots(priority: Priority, running: dict[Priority, int], slots: int) -> int:
    """How many more runs of `priority` may start, with `slots` runs at once and `running` runs now.

    Less urgent lanes leave slots free for more urgent lanes: bulk takes at most half, and the last slot
    (of two or more) is reserved for urgent runs.
    """
    kept_free = 1 if slots > 1 else 0
    most = {Priority.URGENT: slots, Priority.NORMAL: slots - kept_free, Priority.BULK: max(1, slots // 2)}
    behind = sum(count for lane, count in running.items() if lane.rank >= priority.rank)
    return max(0, min(slots - sum(running.values()), most[priority] - behind))
