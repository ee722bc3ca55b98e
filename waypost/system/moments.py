"""Moments as people write them (an age, or ISO 8601), and as they are shown to people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from waypost.system.clock import now

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE = re.compile(r"(\d{1,9})([smhdw])")


def moment_in(text: str) -> datetime:
    """The moment in UTC, between 1970 and 2200: `2h` or `3d` ago, or ISO 8601 (UTC if it has no offset).
    Raises ValueError."""
    try:
        found = _read(text.strip())
    except OverflowError as error:
        raise ValueError(str(error)) from None
    if not 1970 <= found.year <= 2200:
        raise ValueError(f"{found.year} is not between 1970 and 2200")
    return found


def in_utc(at: datetime, now: datetime) -> str:
    """`14:12:24 UTC`; with the date on another day than `now`. Both are in UTC."""
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _read(text: str) -> datetime:
    if age := _AGE.fullmatch(text):
        return now() - timedelta(seconds=int(age[1]) * _UNITS[age[2]])
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
