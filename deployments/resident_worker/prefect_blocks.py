"""Loads the providers and brands that Prefect keeps as blocks into a worker, again and again."""

from __future__ import annotations

import logging

from prefect.client.orchestration import PrefectClient

from waypost.delivery.runtime import Runtime
from waypost.tasks.providers.blocks import BRAND, Unreadable, read, take_up_brands, told

logger = logging.getLogger("waypost.providers")


class PrefectBlocks:
    """The blocks of one worker. A fault of a block is logged once, until it changes.

    Until Prefect has answered, the worker has only the providers of its settings; notifications that need
    another provider wait in the ledger. It has the brands that any worker has found before.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._said: set[str] = set()

    async def look(self, client: PrefectClient) -> None:
        """Load providers and brands as they are now, and close providers no longer needed. Raises the
        client's errors when Prefect does not answer, and the ledger's."""
        try:
            faults = self._runtime.providers.add(await read(client))
            of_brands = await take_up_brands(self._runtime, client)
        except Unreadable as error:
            self._say({str(error)})
        else:
            told_of_brands = {told(name, fault, BRAND) for name, fault in of_brands.items()}
            self._say({told(name, fault) for name, fault in faults.items()} | told_of_brands)
        await self._runtime.providers.close_unused()

    def _say(self, faults: set[str]) -> None:
        for fault in sorted(faults - self._said):
            logger.error("%s", fault)
        self._said = faults
