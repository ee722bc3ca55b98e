"""Announces a backlog and missed deadlines as events in Prefect, each once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from waypost.deployments.dashboard.situation import Situation
from waypost.deployments.dashboard.troubles import is_late
from waypost.ledger import Ledger
from waypost.ledger.database import tolerant
from waypost.ledger.operations import traffic
from waypost.system.clock import now
from waypost.tasks import events

COMMITTED = timedelta(seconds=3)  # a transaction commits within this time after the moment that it writes


class Announcements:
    """Remembers what was announced: since when each type has a backlog, and until when missed deadlines are
    announced."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._backlogs: dict[str, str] = {}
        self._missed_until = now()

    def resume(self, note: Mapping[str, Any]) -> None:
        """Go on where the last process that had the turn stopped."""
        self._backlogs = {
            str(type): str(since) for type, since in tolerant.object(note.get("backlogs")).items()
        }
        until = tolerant.moment(note.get("missed_until"))
        self._missed_until = until if isinstance(until, datetime) else now()

    async def announce(self, seen: Situation) -> dict[str, Any] | None:
        """Announce what is new. Returns a note for the next process; None when nothing changed."""
        backlogs, missed = self._announce_backlogs(seen), await self._announce_missed(seen.now)
        if not backlogs and not missed:
            return None
        return {"backlogs": self._backlogs, "missed_until": self._missed_until}

    def _announce_backlogs(self, seen: Situation) -> bool:
        late = {type: of for type, of in seen.waiting.items() if is_late(of, seen.now)}
        begun, over = late.keys() - self._backlogs.keys(), self._backlogs.keys() - late.keys()
        for type in begun:
            since = late[type].due_at
            self._backlogs[type] = since.isoformat() if since else ""
            events.backlog_began(type, late[type].count, self._backlogs[type])
        for type in over:
            events.backlog_ended(type, self._backlogs.pop(type))
        return bool(begun or over)

    async def _announce_missed(self, moment: datetime) -> bool:
        until = moment - COMMITTED
        missed = (
            await traffic.missed(self._ledger, self._missed_until, until)
            if until > self._missed_until
            else {}
        )
        self._missed_until = max(until, self._missed_until)
        for type, (count, reason) in missed.items():
            events.deadline_missed(type, count, reason)
        return bool(missed)
