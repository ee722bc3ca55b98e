"""Which notifications go first when more are due than can be sent at once."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """Each priority is a lane: a notification never waits behind a notification of a later lane."""

    URGENT = "urgent"  # the recipient waits for it: codes, alerts; sent without Prefect if necessary
    NORMAL = "normal"  # the recipient expects it: confirmations, receipts
    BULK = "bulk"  # the recipient does not wait: digests, campaigns

    @property
    def rank(self) -> int:
        """0 goes first."""
        return _ORDER.index(self)


_ORDER = list(Priority)
