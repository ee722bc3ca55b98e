"""The problems that report an unavailable or busy ledger, and one whose personal data cannot be read."""

from __future__ import annotations

from waypost.gateway.problems import Problem
from waypost.ledger.database.ledger import CommitLost
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.unreachable import KEY_FAULTS
from waypost.system.outage import is_outage

SOON = {"retry-after": "2"}
LATER = {"retry-after": "60"}


def ledger_away(error: Exception) -> Problem | None:
    """The problem for an error of an unavailable ledger; None for any other error."""
    if isinstance(error, CommitLost):
        return Problem(
            "unavailable",
            "the ledger was lost during the commit, so the request may have been done. "
            "Retry with the same idempotency key; without a key, look it up first",
            headers=LATER if isinstance(error, FileReplaced) else SOON,
        )
    if isinstance(error, FileReplaced):
        return file_lost()
    if isinstance(error, KEY_FAULTS):
        return Problem("unavailable", f"nothing was done: {error}", headers=LATER)
    if is_outage(error):
        return Problem(
            "unavailable",
            "the ledger does not respond or cannot be written. Nothing was done; retry "
            "with the same idempotency key",
            headers=SOON,
        )
    return None


def file_lost() -> Problem:
    """The problem for a lost ledger file: no retry helps until a person has restored it."""
    return Problem(
        "unavailable",
        "the ledger's file was deleted, replaced or damaged. Nothing was done; restart "
        "the gateway, then retry with the same idempotency key",
        headers=LATER,
    )
