"""Outages: errors that say that the ledger is away. They are no fault of the item in hand."""

from __future__ import annotations

_MARK = "waypost_outage"


class Outage(Exception):
    """The ledger cannot be used now."""


def mark(error: BaseException) -> None:
    """Mark an error of another library as an outage, where it leaves the ledger."""
    setattr(error, _MARK, True)


def is_outage(error: BaseException) -> bool:
    """Whether an error came out of the ledger and is the database's trouble: neither the fault of what was
    to be read or written, nor of a type's own code."""
    return isinstance(error, Outage) or hasattr(error, _MARK)
