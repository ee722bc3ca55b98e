"""The ledger: every notification accepted, every attempt made, and how each ended.

intake accepts requests. queue hands them to runs and writes what happens to them. records holds what is kept
beside notifications. operations answers people's questions and does what they ask for. database is the
connection below all of these.
"""

from waypost.ledger.database.ledger import LEASE, Ledger, LedgerBehind, NotRecorded
from waypost.ledger.database.open import connect, connect_checked, ledger_of, open_ledger

__all__ = [
    "LEASE",
    "Ledger",
    "LedgerBehind",
    "NotRecorded",
    "connect",
    "connect_checked",
    "ledger_of",
    "open_ledger",
]
