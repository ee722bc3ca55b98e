"""The ledger is away, or busy: what whoever asked is told."""

from __future__ import annotations

from waypost.gateway.problems import Problem
from waypost.ledger.engine import CommitLost, passes
from waypost.ledger.ledger_file import FileReplaced

SOON = {"retry-after": "2"}


def ledger_away(error: Exception) -> Problem | None:
    """The problem that an error of the ledger's is, where that passes by itself; None for any other."""
    if isinstance(error, CommitLost):
        return Problem(
            "unavailable",
            "the ledger was lost while it kept this: it may have been done. Send it again with the same "
            "idempotency key; what had none, look up first",
            headers=SOON,
        )
    if isinstance(error, FileReplaced):
        return Problem(
            "unavailable",
            "the file of the ledger was deleted, replaced or damaged, and this gateway has to be started"
            " again: nothing was done; send it again with the same idempotency key",
            headers=SOON,
        )
    if passes(error):
        return Problem(
            "unavailable",
            "the ledger does not answer, or cannot be written: nothing was done; send it again with the same "
            "idempotency key",
            headers=SOON,
        )
    return None
