"""Loads the providers that Prefect keeps as blocks into a worker, again and again."""

from __future__ import annotations

import logging

from prefect.client.orchestration import PrefectClient

from waypost.delivery.runtime import Runtime
from waypost.tasks.providers.blocks import Unreadable, read, told

logger = logging.getLogger("waypost.providers")


class ProviderBlocks:
    """The block providers of one worker. A fault of a provider is logged once, until it changes.

    Until Prefect has answered, the worker has only the providers of its settings; notifications that need
    another provider wait in the ledger.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._said: set[str] = set()

    async def look(self, client: PrefectClient) -> None:
        """Load the providers as they are now, and close those no longer needed. Raises the client's errors
        when Prefect does not answer."""
        try:
            faults = self._runtime.providers.add(await read(client))
        except Unreadable as error:
            self._say({str(error)})
        else:
            self._say({told(name, fault) for name, fault in faults.items()})
        await self._runtime.providers.close_unused()

    def _say(self, faults: set[str]) -> None:
        for fault in sorted(faults - self._said):
            logger.error("%s", fault)
        self._said = faults
