"""Learns of new runs from Prefect's event stream, so that the worker can poll less often.

An idle worker that polls seven times a second costs itself and an embedded server a tenth of a core each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter

AGAIN_SECONDS = 1.0
# The names of states of type Scheduled. The next poll finds a run whose state is not named here.
WANTED = ["prefect.flow-run.Scheduled", "prefect.flow-run.AwaitingRetry", "prefect.flow-run.Late"]


class RunEvents:
    """Calls `wake` whenever a run of any pool may wait for a worker. `on` while the stream is open."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.on = False
        self._wake = wake

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`. After an error it reconnects; until then the worker must poll."""
        listening = asyncio.create_task(self._for_ever())
        await stop.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async def _for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception:  # noqa: S110 - the poll says when Prefect does not answer
                pass
            finally:
                self.on = False
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self) -> None:
        wanted = EventFilter(event=EventNameFilter(name=WANTED))
        async with get_events_subscriber(filter=wanted, reconnection_attempts=0) as events:
            self.on = True
            self._wake()
            async for _ in events:
                self._wake()
