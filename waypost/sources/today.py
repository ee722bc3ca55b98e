"""The date that a source is asked for, unless another is given."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from waypost.config.settings import Settings
from waypost.system.clock import now


def today(settings: Settings) -> date:
    """Today in the default time zone."""
    return now().astimezone(ZoneInfo(settings.default_timezone)).date()
