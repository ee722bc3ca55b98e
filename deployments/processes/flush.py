"""Sends what Prefect still buffers when a process ends.

Prefect's own threads send logs and task states in groups. Its exit handlers would send the rest only
after the embedded server has stopped, and the process would hang a minute retrying. Prefect has a
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
    """Send the buffered logs and events, for `within` seconds at most; the server may be gone already. The
    rest is then lost: Prefect would wait up to ten times as long for each event."""
    try:
        async with asyncio.timeout(within):
            await APILogHandler.aflush()
            drained = EventsWorker.drain_all()
            if inspect.isawaitable(drained):
                await drained
    except TimeoutError:
        leave_threads_behind()
