"""The numbers of PostgreSQL's advisory locks, each for one purpose: all users of a database share them."""

UPGRADE = 7496
HOLD = 7497  # with the hash of a type: it is held, or a run takes up a batch of it
OPEN = 7498  # with the number of a table: a process has the ledger open
NEW_WEBHOOK = 7499  # with the hash of a client: a webhook is added and counted
CAP = 7500  # with the hash of a category: a run counts what recipients are sent of it
