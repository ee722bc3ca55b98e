"""Errors for a database that takes no connection or cannot hold a ledger; each says what to do."""

from __future__ import annotations

from waypost.system.key_ring import NotOpened
from waypost.system.outage import Outage

ADVICE = "start that server, create that database, or correct WAYPOST_DATABASE_URL"


class LedgerUnreachable(Outage, ConnectionError):
    """The ledger's database cannot be used. found: which one, without its password, and what
    happened. advice: what to do. The message has both."""

    def __init__(self, found: str, advice: str = ADVICE) -> None:
        super().__init__(f"{found}: {advice}")
        self.found = found
        self.advice = advice


class OtherKey(LedgerUnreachable):
    """This process's secret key is not the ledger's: the process treats the ledger as unavailable."""

    def __init__(self) -> None:
        super().__init__(
            "the secret key is not the key of this ledger",
            "set WAYPOST_SECRET_KEY to the same text wherever Waypost runs, and restart "
            "this process. If the key was changed on purpose, stop all Waypost processes "
            "and run `waypost db change-key`",
        )


class OtherDataKey(LedgerUnreachable):
    """This process cannot open the ledger's personal data: it treats the ledger as unavailable."""

    def __init__(self, why: NotOpened) -> None:
        super().__init__("the personal data of this ledger cannot be read", str(why))


# A key of this process is wrong or missing: a person has to correct it, and no retry helps before.
KEY_FAULTS = (OtherKey, OtherDataKey, NotOpened)
