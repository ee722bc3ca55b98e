"""What Prefect still holds back when a process ends.

Logs and task states are sent in groups by threads of Prefect's own. Left to its exit handlers they
go out after the embedded server has stopped, and the process hangs a minute retrying. Prefect has a
public flush for logs only; `drain_all` of its events worker is not documented. A test stops
`waypost up` after a run and fails when it takes long or loses the last task's state.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler

SECONDS = 5.0


async def flush_prefect() -> None:
    """Send what is held back, for at most five seconds; the server may be gone already."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            await APILogHandler.aflush()
            drained = EventsWorker.drain_all()
            if inspect.isawaitable(drained):
                await drained
