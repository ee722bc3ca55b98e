"""Cadence: when a recipient wants what a category has for them."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from waypost.model.local_time import moment_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MORNING = time(9)


class Every(StrEnum):
    """How often."""

    ONCE = "at once"
    HOUR = "hourly"
    DAY = "daily"
    WEEK = "weekly"
    MONTH = "monthly"
    NEVER = "never"


_WRITTEN = re.compile(
    r"(?P<every>at once|hourly|daily|weekly|monthly|never)"
    r"(?: on (?P<day>[a-z]+|[0-9]{1,2}))?(?: at (?P<at>[0-9]{2}:[0-9]{2}))?"
)
HINT = (
    "not a cadence: at once, hourly, daily at 09:00, weekly on monday at 09:00, monthly on 1 at 09:00, "
    "or never"
)


@dataclass(frozen=True, slots=True)
class Cadence:
    """When a recipient is sent what has come for them: at once, never, or at the next of regular moments.

    at: the time of the day, by the clock of the recipient's zone. day: of the week, from 0 for Monday, or of
    the month, from 1; the last day of a shorter month.
    """

    every: Every = Every.ONCE
    at: time = MORNING
    day: int = 0

    @classmethod
    def parse(cls, text: object) -> Cadence:
        """Reads what `str` writes, and shorter: `weekly` is on Monday at 09:00. Raises ValueError."""
        found = _WRITTEN.fullmatch(str(text).strip().lower())
        if found is None:
            raise ValueError(HINT)
        every, day, at = Every(found["every"]), found["day"], found["at"]
        if (day and every not in (Every.WEEK, Every.MONTH)) or (at and every not in _WITH_TIME):
            raise ValueError(HINT)
        try:
            return cls(every, time.fromisoformat(at) if at else MORNING, _day(every, day))
        except ValueError:
            raise ValueError(HINT) from None

    def __str__(self) -> str:
        match self.every:
            case Every.DAY:
                return f"daily at {self.at:%H:%M}"
            case Every.WEEK:
                return f"weekly on {WEEKDAYS[self.day]} at {self.at:%H:%M}"
            case Every.MONTH:
                return f"monthly on {self.day} at {self.at:%H:%M}"
            case _:
                return str(self.every)

    def first_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The first regular moment after `moment`, in UTC; `moment` itself for `at once` and `never`."""
        match self.every:
            case Every.HOUR:
                whole = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
                return whole + timedelta(hours=1)
            case Every.DAY | Every.WEEK | Every.MONTH:
                day = moment.astimezone(zone).date()
                while not (self._falls_on(day) and moment_of(day, self.at, zone) > moment):
                    day += timedelta(days=1)
                return moment_of(day, self.at, zone)
            case _:
                return moment

    def _falls_on(self, day: date) -> bool:
        if self.every is Every.WEEK:
            return day.weekday() == self.day
        if self.every is Every.MONTH:
            return day.day == min(self.day, monthrange(day.year, day.month)[1])
        return True


AT_ONCE = Cadence()
_WITH_TIME = (Every.DAY, Every.WEEK, Every.MONTH)


def _day(every: Every, text: str | None) -> int:
    """Raises ValueError."""
    if every is Every.WEEK:
        return WEEKDAYS.index(text) if text else 0
    if every is Every.MONTH:
        day = int(text) if text else 1
        if not 1 <= day <= 31:
            raise ValueError(HINT)
        return day
    return 0
