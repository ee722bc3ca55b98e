"""Logs each outage of the ledger at most once a minute: many loops meet it many times a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.trouble import trouble
from waypost.ledger.database.unreachable import KEY_FAULTS

SAID_AGAIN_SECONDS = 60.0

logger = logging.getLogger("waypost.ledger")


class Outages:
    """The outages that this process logged. steady: a monotonic clock, in seconds."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self.forget()

    def forget(self) -> None:
        """Reset to the state of a new process."""
        self.lost = ""  # what happened to the ledger's file, and what to do; empty while the file is not lost
        self._said_at: dict[str, float] = {}

    def tell(self, error: BaseException) -> None:
        """Log what `error` means and what to do. A lost file is logged once, as it stays lost; any other
        outage once a minute. A key that is missing is logged as an error, as it does not pass
        automatically."""
        said = trouble(error)
        if isinstance(error, FileReplaced):
            self._tell_of_loss(said)
            return
        moment = self._steady()
        if moment - self._said_at.get(said, float("-inf")) < SAID_AGAIN_SECONDS:
            return
        self._said_at[said] = moment
        if isinstance(error, KEY_FAULTS):
            logger.error("%s", said)
        else:
            logger.warning("%s. Waypost keeps retrying, and logs this once a minute", said)

    def _tell_of_loss(self, said: str) -> None:
        if not self.lost:
            self.lost = said
            logger.error("%s", said)


outages = Outages()  # of this process
