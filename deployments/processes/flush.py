"""What Prefect still holds back when a process ends.

Logs and task states are sent in groups by threads of Prefect's own. Left to its exit handlers they
go out after the embedded server has stopped, and the process hangs a minute retrying. Prefect has a
public flush for logs only; `drain_all` of its events worker is not documented. A test stops
`waypost up` after a run and fails when it takes long or loses the last task's state.
"""

from __future__ import annotations

import asyncio
import inspect

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler

from waypost.system.process import leave_threads_behind


async def flush_prefect(within: float = 5.0) -> None:
    """Send what is held back, for so many seconds at most; the server may be gone already. What is held back
    then is lost: it waits for Prefect up to ten times as long for each event."""
    try:
        async with asyncio.timeout(within):
            await APILogHandler.aflush()
            drained = EventsWorker.drain_all()
            if inspect.isawaitable(drained):
                await drained
    except TimeoutError:
        leave_threads_behind()
