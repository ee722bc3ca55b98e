"""Moments as they are shown to people."""

from datetime import UTC, datetime, timedelta

import pytest

from waypost.system.moments import in_utc

NOW = datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        (timedelta(), "23:59:58 UTC"),
        (timedelta(seconds=2), "2026-12-01 00:00:00 UTC"),
        (-timedelta(days=365), "2025-11-30 23:59:58 UTC"),
    ],
)
def test_a_moment_has_its_date_on_another_day(after, shown):
    assert in_utc(NOW + after, NOW) == shown
