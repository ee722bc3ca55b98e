"""The ledger: every notification accepted, every attempt made, and how each ended.

intake accepts requests, claims hands them to runs, recorder writes what happened, digests bundles
what was held, verifications keeps the hashes of codes, reading answers questions.
"""

from waypost.ledger.engine import LEASE, Ledger, LedgerBehind, NotRecorded, open_ledger

__all__ = ["LEASE", "Ledger", "LedgerBehind", "NotRecorded", "open_ledger"]
