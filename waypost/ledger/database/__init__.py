"""The connection to the ledger's database: read, write and upgrade."""
