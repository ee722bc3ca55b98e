"""The key ring of the tests' ledgers."""

from __future__ import annotations

from waypost.system.key_ring import DataKey, KeyRing, written

TESTS = DataKey("tests", bytes(range(32)))
DATA_KEYS = written(TESTS)  # as WAYPOST_DATA_KEYS has it


def ring() -> KeyRing:
    """The ring that tests seal with, as every process on their ledger must."""
    return KeyRing([TESTS])


def in_clear() -> KeyRing:
    """A ring that opens what tests sealed, and seals nothing: facts can be found in the database."""
    made = ring()
    made.newest = None
    return made
