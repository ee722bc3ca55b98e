"""An exception that Prefect may show as it is."""

from __future__ import annotations


class SafeError(Exception):
    """An exception whose text is fit for people: it repeats no content."""
