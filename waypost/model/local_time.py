"""Times of the day by the clock of a zone, as moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def moment_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """When a clock in `zone` first shows `at` on `day`, in UTC.

    A time that occurs twice, as clocks are set back, is the first of the two. A time that clocks skip is the
    moment at which they skip it: what waits for 02:30 goes on as the clock jumps from 02:00 to 03:00.
    """
    local = datetime.combine(day, at.replace(fold=0), zone)  # the first of two
    found = local.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return found
    # A skipped time. PEP 495: with fold=0, its offset is that of before the jump, so `found` is after it.
    return _jump_before(found, zone)


def _jump_before(moment: datetime, zone: ZoneInfo) -> datetime:
    """The change of the zone's offset in the day before `moment`, to the second."""
    after = moment
    before = after - timedelta(days=1)
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)
