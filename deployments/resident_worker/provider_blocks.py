"""The providers that Prefect keeps as blocks, taken up by a worker again and again."""

from __future__ import annotations

import logging

from prefect.client.orchestration import PrefectClient

from tasks.providers.blocks import Unreadable, read, told
from waypost.delivery.runtime import Runtime

logger = logging.getLogger("waypost.providers")


class ProviderBlocks:
    """Those of one worker. What is wrong with one is logged once, until it is wrong in another way.

    Until Prefect has answered the worker has the providers of its settings; what only another could take
    waits in the ledger.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._said: set[str] = set()

    async def look(self, client: PrefectClient) -> None:
        """Take them up as they are now, and close what nobody needs any more. Raises the client's errors when
        Prefect does not answer."""
        try:
            faults = self._runtime.offer(await read(client))
        except Unreadable as error:
            self._say({str(error)})
        else:
            self._say({told(name, fault) for name, fault in faults.items()})
        await self._runtime.let_go()

    def _say(self, faults: set[str]) -> None:
        for fault in sorted(faults - self._said):
            logger.error("%s", fault)
        self._said = faults
