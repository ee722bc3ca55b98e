"""Logs failures in a loop that goes on: an outage of the ledger, or a bug."""

from __future__ import annotations

import logging

from waypost.ledger.database.outages import outages
from waypost.system.outage import is_outage


def log_failure(logger: logging.Logger, what: str, error: BaseException) -> None:
    """Log an outage by `outages`, else `what` with the class of `error`: its text may hold addresses."""
    if is_outage(error):
        outages.tell(error)
    else:
        logger.error("%s: %s", what, type(error).__name__)
