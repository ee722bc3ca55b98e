"""The problems that report an unavailable or busy ledger."""

from __future__ import annotations

from waypost.gateway.problems import Problem
from waypost.ledger.database.ledger import CommitLost
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.unreachable import OtherKey
from waypost.system.outage import is_outage

SOON = {"retry-after": "2"}
LATER = {"retry-after": "60"}


def ledger_away(error: Exception) -> Problem | None:
    """The problem for an error of an unavailable ledger; None for any other error."""
    if isinstance(error, CommitLost):
        return Problem(
            "unavailable",
            "the ledger was lost while it kept this: it may have been done. Send it again with the same "
            "idempotency key; what had none, look up first",
            headers=LATER if isinstance(error, FileReplaced) else SOON,
        )
    if isinstance(error, FileReplaced):
        return file_lost()
    if isinstance(error, OtherKey):
        return Problem("unavailable", f"nothing was done: {error}", headers=LATER)
    if is_outage(error):
        return Problem(
            "unavailable",
            "the ledger does not answer, or cannot be written: nothing was done; send it again with the same "
            "idempotency key",
            headers=SOON,
        )
    return None


def file_lost() -> Problem:
    """The problem for a lost ledger file: no retry helps until a person has restored it."""
    return Problem(
        "unavailable",
        "the file of the ledger was deleted, replaced or damaged, and this gateway has to be started again: "
        "nothing was done; send it again with the same idempotency key",
        headers=LATER,
    )
