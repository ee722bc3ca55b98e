"""Loads the providers and brands that Prefect keeps as blocks into a worker, again and again."""

from __future__ import annotations

import logging

from prefect.client.orchestration import PrefectClient

from waypost.delivery.added_brands import AddedBrands
from waypost.delivery.provider_set import ProviderSet
from waypost.ledger import Ledger
from waypost.tasks.blocks import load

logger = logging.getLogger("waypost.providers")


class PrefectBlocks:
    """The blocks of one worker. A fault of a block is logged once, until it changes.

    Until Prefect has answered, the worker has only the providers of its settings; notifications that need
    another provider wait in the ledger. It has the brands that any worker has found before.
    """

    def __init__(self, providers: ProviderSet, brands: AddedBrands, ledger: Ledger) -> None:
        self._providers = providers
        self._brands = brands
        self._ledger = ledger
        self._said: set[str] = set()

    async def look(self, client: PrefectClient) -> None:
        """Load providers and brands as they are now, and close providers no longer needed. Raises the
        client's errors when Prefect does not answer, and the ledger's."""
        self._say(set(await load(client, self._providers, self._brands, self._ledger)))
        await self._providers.close_unused()

    def _say(self, faults: set[str]) -> None:
        for fault in sorted(faults - self._said):
            logger.error("%s", fault)
        self._said = faults
