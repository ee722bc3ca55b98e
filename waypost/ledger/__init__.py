"""The ledger: every notification accepted, every attempt made, and how each ended.

intake accepts requests, claims hands them to runs, recorder writes what happened, digests bundles
what was held, verifications keeps the hashes of codes, reading answers questions. For people, search
lists, timeline explains, interventions retries and cancels, holds stops a type.
"""

from waypost.ledger.engine import (
    LEASE,
    Ledger,
    LedgerBehind,
    NotRecorded,
    checked,
    open_ledger,
    opened,
)

__all__ = ["LEASE", "Ledger", "LedgerBehind", "NotRecorded", "checked", "open_ledger", "opened"]
