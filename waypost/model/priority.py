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
