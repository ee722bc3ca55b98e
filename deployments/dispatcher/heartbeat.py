"""The heartbeat of a dispatcher that is not a worker, kept in a Prefect variable.

Registered as a worker, the dispatcher would make Prefect show the pool as ready while no worker takes runs.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import PrefectException

from waypost.deployments.prefect_api import prefect_client
from waypost.deployments.stopping import COURTESY_SECONDS
from waypost.ledger.queue.batches import owner
from waypost.system.clock import now
from waypost.tasks.client_retries import client_retries

BEAT_SECONDS = 15.0
GONE_AFTER = timedelta(seconds=60)  # without a heartbeat


@dataclass(frozen=True, slots=True)
class Presence:
    """The dispatcher of a pool that was seen last: its host and pid, its start and its last heartbeat."""

    owner: str
    since: datetime
    seen: datetime

    @property
    def lives(self) -> bool:
        return now() - self.seen < GONE_AFTER


@asynccontextmanager
async def announce(work_pool: str) -> AsyncGenerator[None]:
    """Send heartbeats during the block, which show that this process dispatches for the pool."""
    async with prefect_client() as client:
        beating = asyncio.create_task(_beat(client, work_pool, now()))
        try:
            yield
        finally:
            beating.cancel()
            # The heartbeat expires anyway, so a failed request is not retried.
            with (
                suppress(httpx.HTTPError, PrefectException, TimeoutError),
                client_retries(0),
            ):
                async with asyncio.timeout(COURTESY_SECONDS):
                    await client.delete_variable_by_name(_name(work_pool))


async def last_seen(client: PrefectClient, work_pool: str) -> Presence | None:
    """The last dispatcher of the pool; None if there was none, or if it has signed off."""
    variable = await client.read_variable_by_name(_name(work_pool))
    value: Any = variable and variable.value
    try:
        return Presence(value["owner"], _moment(value["since"]), _moment(value["seen"]))
    except (TypeError, KeyError, ValueError):
        return None  # anyone can edit a variable


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def _name(work_pool: str) -> str:
    return "waypost-dispatcher-" + re.sub(r"[^a-z0-9]", "-", work_pool.lower())


async def _beat(client: PrefectClient, work_pool: str, since: datetime) -> None:
    while True:
        with suppress(httpx.HTTPError, PrefectException):  # the dispatcher logs that Prefect is away
            await _say(client, _name(work_pool), since)
        await asyncio.sleep(BEAT_SECONDS)


async def _say(client: PrefectClient, name: str, since: datetime) -> None:
    value = {"owner": owner(), "since": since.isoformat(), "seen": now().isoformat()}
    if await client.read_variable_by_name(name) is None:
        await client.create_variable(VariableCreate(name=name, value=value))
    else:
        await client.update_variable(VariableUpdate(name=name, value=value))
