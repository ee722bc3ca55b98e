"""What people ask of the ledger: find, explain, retry, cancel, delete."""
