"""The ledger measured."""
