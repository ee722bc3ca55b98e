"""Outages: errors of an unreachable ledger, which are not the fault of the item being handled."""

from __future__ import annotations

_MARK = "waypost_outage"


class Outage(Exception):
    """The ledger cannot be used now."""


def mark(error: BaseException) -> None:
    """Mark an error of another library as an outage, where it leaves the ledger."""
    setattr(error, _MARK, True)


def is_outage(error: BaseException) -> bool:
    """Whether an error came from the ledger and the database caused it. An error caused by the data read or
    written, or by a type's own code, is not an outage."""
    return isinstance(error, Outage) or hasattr(error, _MARK)
