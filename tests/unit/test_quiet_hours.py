"""Quiet hours and cadences by the clock of a zone, right at every change of every zone's clocks."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from waypost.model.cadence import Cadence, Every
from waypost.model.category import QuietHours
from waypost.model.local_time import moment_of
from waypost.model.locale import timezones
from waypost.policy.quiet_hours import quiet_until

SINCE, UNTIL = datetime(2010, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
STEP = timedelta(days=5)
HOURS = [QuietHours.parse(text) for text in ("22:00-08:00", "02:30-03:30", "00:00-00:30")]


@cache
def changes():
    """Every change of every zone's offset in those years: the zone and the first second after it."""
    found = []
    for name in timezones():
        zone = ZoneInfo(name)
        moment, offset = SINCE, SINCE.astimezone(zone).utcoffset()
        while moment < UNTIL:
            following = moment + STEP
            after = following.astimezone(zone).utcoffset()
            if after != offset:
                found.append((zone, _change(moment, following, zone)))
                offset = after
            moment = following
    return found


def _change(before, after, zone):
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def unique_changes():
    """Zones share their rules: each change of the clock by the same offsets at the same moment, once."""
    found = {}
    for zone, moment in changes():
        before, after = ((moment + timedelta(seconds=n)).astimezone(zone).utcoffset() for n in (-1, 0))
        found[moment, before, after] = zone
    return [(zone, moment) for (moment, _, _), zone in found.items()]


def shows(moment, zone):
    return moment.astimezone(zone).replace(tzinfo=None)


def test_there_are_changes_to_test():
    assert len(changes()) > 2000
    assert len(unique_changes()) > 300


@pytest.mark.parametrize("hours", HOURS, ids=str)
def test_around_every_change_quiet_hours_end_at_their_end_or_where_clocks_skip_it(hours):
    """The clock decides: a moment whose clock shows a quiet time is quiet, unless it is shown a second time.
    Where they end, the clock shows their end, or it has just skipped it."""
    for zone, change in unique_changes():
        for minutes in range(-11 * 60, 11 * 60, 75):
            moment = change + timedelta(minutes=minutes)
            ends = quiet_until(hours, moment, zone)
            if ends is None:
                assert not is_quiet(hours, moment, zone), (zone, moment)
                continue
            assert moment < ends <= moment + timedelta(hours=36), (zone, moment)
            shown, before = shows(ends, zone), shows(ends - timedelta(seconds=1), zone)
            skipped = ends == change and before < shown - timedelta(seconds=1)
            assert shown.time() == hours.ends or skipped, (zone, moment, ends)
            assert quiet_until(hours, ends, zone) is None, (zone, moment)


def is_quiet(hours, moment, zone):
    """Whether the clock shows a quiet time, for the first time that day."""
    local = moment.astimezone(zone)
    if local.fold:
        return False
    at = local.time()
    if hours.begins < hours.ends:
        return hours.begins <= at < hours.ends
    return at >= hours.begins or at < hours.ends


def test_a_time_of_the_day_is_its_first_showing_or_the_jump_over_it():
    for zone, change in unique_changes():
        before, after = shows(change - timedelta(seconds=1), zone), shows(change, zone)
        if after > before + timedelta(seconds=1):  # set forward: a time in the gap is the jump itself
            gap = before + (after - before) / 2
            assert moment_of(gap.date(), gap.time().replace(microsecond=0), zone) == change
        else:  # set back: a time that is shown twice is the first of the two
            twice = after.replace(microsecond=0)
            found = moment_of(twice.date(), twice.time(), zone)
            assert found < change
            assert shows(found, zone) == twice


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("hourly", "2026-03-29T00:10", "2026-03-29T01:00"),
        ("daily at 09:00", "2026-03-28T08:00", "2026-03-29T07:00"),  # summer time has begun
        ("daily at 02:30", "2026-03-29T00:00", "2026-03-29T01:00"),  # skipped
        ("weekly on monday at 09:00", "2026-03-02T08:00", "2026-03-09T08:00"),
        ("monthly on 31 at 09:00", "2026-04-01T00:00", "2026-04-30T07:00"),
        ("monthly on 31 at 09:00", "2026-02-01T00:00", "2026-02-28T08:00"),
        ("at once", "2026-03-02T08:00", "2026-03-02T08:00"),
        ("never", "2026-03-02T08:00", "2026-03-02T08:00"),
    ],
)
def test_the_next_moment_of_a_cadence_in_berlin(text, after, expected):
    moment, due = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (after, expected))
    assert Cadence.parse(text).first_after(moment, ZoneInfo("Europe/Berlin")) == due


@pytest.mark.parametrize("every", list(Every))
def test_what_is_written_is_read_again(every):
    cadence = Cadence.parse(str(Cadence.parse(every)))
    assert cadence == Cadence.parse(every)
    assert cadence.every is every


NO_CADENCE = (
    "", "now", "daily on monday", "weekly on 3", "monthly on 32", "monthly on monday", "at once at 09:00",
    "daily at 9", "daily at 25:00", "weekly on someday", "hourly at 09:00", "daily at 09:00 x",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_CADENCE)
def test_what_is_no_cadence_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="not a cadence: at once, hourly, daily at 09:00"):
        Cadence.parse(text)
