"""Quiet hours: which notifications they hold back, and until when. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from waypost.model.category import CategoryTerms, QuietHours
from waypost.model.local_time import moment_of
from waypost.model.permission import Circumstances, Rule, Verdict


def held_by_quiet_hours(
    found: Circumstances, terms: CategoryTerms, moment: datetime, allowed: Verdict
) -> Verdict | None:
    """`allowed`, held until the quiet hours of its recipient end; None outside of quiet hours. Not asked for
    what is urgent."""
    ends = quiet_until(terms.quiet_hours, moment, found.zone) if terms.quiet_hours else None
    if ends is None:
        return None
    why = f"quiet hours are {terms.quiet_hours} in {found.zone.key}"
    return Verdict(Rule.QUIET_HOURS, allowed.kinds, ends, why)


@lru_cache(1024)  # a batch asks at one moment, for a few zones
def quiet_until(hours: QuietHours, moment: datetime, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours that `moment` falls into end, in UTC; None outside of them. Right also where the
    clocks are set forward or back, in them or at their ends, and where a zone skips a whole day."""
    found, ends = None, _end(hours, moment, zone)
    while ends is not None:
        found, ends = ends, _end(hours, ends, zone)
    return found


def _end(hours: QuietHours, moment: datetime, zone: ZoneInfo) -> datetime | None:
    """The end of one of the intervals that `moment` is in. Those that began two days earlier by the calendar
    may still last, where a day was skipped."""
    today = moment.astimezone(zone).date()
    for days in (-2, -1, 0):
        day = today + timedelta(days=days)
        begins = moment_of(day, hours.begins, zone)
        over = day if hours.ends > hours.begins else day + timedelta(days=1)
        ends = moment_of(over, hours.ends, zone)
        if begins <= moment < ends:
            return ends
    return None
