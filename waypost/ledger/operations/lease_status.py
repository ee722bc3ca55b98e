"""Which process holds the lease of a notification, and whether it still renews the lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from waypost.ledger.database import tolerant
from waypost.ledger.database.tolerant import Moment
from waypost.system.clock import now


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """The lease of an open batch. owner: host and pid. taken: a run has taken the batch up. renewed_at: the
    last heartbeat, if the owner's leases are as long as ours. lapsed: a reaper will reclaim the batch."""

    owner: str
    taken: bool
    renewed_at: Moment | None
    leased_until: Moment | None
    lapsed: bool

    def __str__(self) -> str:
        """The owner and the state of the lease, in words."""
        who = f"claimed by a run at {self.owner}" if self.taken else f"reserved for a run by {self.owner}"
        if not isinstance(self.leased_until, datetime) or not isinstance(self.renewed_at, datetime):
            return f"{who}, lease until {self.leased_until or 'an unknown time'}"
        if self.lapsed:
            return (
                f"{who}, which sends no heartbeat: its lease lapsed "
                f"{_ago(self.leased_until)}, at {self.leased_until:%Y-%m-%d %H:%M:%S} "
                "UTC; a reaper in any worker reclaims it"
            )
        return f"{who}, renewed {_ago(self.renewed_at)}, lease until {self.leased_until:%H:%M:%S} UTC"


def lease_status(batch: Any, lease: timedelta) -> LeaseStatus | None:
    """The lease of a batch; None when the batch has ended or does not exist. batch: its raw row. lease: the
    length of leases."""
    if batch is None or batch.ended_at is not None:
        return None
    until = tolerant.moment(batch.leased_until)
    known = isinstance(until, datetime)
    return LeaseStatus(
        owner=tolerant.text(batch.owner),
        taken=batch.taken_at is not None,
        renewed_at=until - lease if known else until,
        leased_until=until,
        lapsed=known and until <= now(),
    )


def _ago(moment: datetime) -> str:
    return f"{max((now() - moment).total_seconds(), 0):.0f} s ago"
