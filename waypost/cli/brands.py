"""The brands for texts that are looked at and not sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from waypost.cli.errors import explained
from waypost.cli.output import warn
from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.model.brand import Brand

WITHIN = 3.0  # seconds; looking at a mail needs no ledger


def known_brands(settings: Settings) -> Mapping[str, Brand]:
    """Every brand by its name: those of the settings, then those that workers found in Prefect and keep in
    the ledger. Without a ledger, those of the settings alone; a ledger that cannot be read is told."""
    from waypost.ledger.database.lost_file import LedgerMissing

    try:
        return asyncio.run(_of_the_ledger(settings))
    except LedgerMissing:  # a new project
        pass
    except Exception as error:
        if (why := explained(error)) is None:
            raise
        warn(f"only the brands of the settings are known: {why}")
    return brands(settings)


async def _of_the_ledger(settings: Settings) -> Mapping[str, Brand]:
    from waypost.delivery.added_brands import all_brands
    from waypost.ledger import connect_checked

    async with asyncio.timeout(WITHIN), connect_checked(settings) as ledger:
        return await all_brands(settings, ledger)
