"""Lanes that are stopped in Prefect: a paused work pool or work queue, or a concurrency limit of 0."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waypost.model.priority import Priority

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import WorkPool, WorkQueue

logger = logging.getLogger("waypost.prefect")

Stopped = Mapping[Priority, str]  # by lane: why it is stopped, and the command that starts it again


@dataclass(frozen=True, slots=True)
class Pausable:
    """What Prefect's API says of a work pool or a work queue, for a reader without Prefect's classes."""

    name: str
    is_paused: bool
    concurrency_limit: int | None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Pausable:
        """`found`: the object as the API returns it."""
        limit = found.get("concurrency_limit")
        return cls(str(found.get("name", "")), found.get("is_paused") is True, limit)


async def look(client: PrefectClient, work_pool: str) -> Stopped:
    """The lanes that are stopped. Raises the client's errors; ObjectNotFound if the pool does not exist."""
    pool = await client.read_work_pool(work_pool)
    return stopped(pool, await client.read_work_queues(work_pool_name=work_pool))


def stopped(pool: WorkPool | Pausable, queues: Sequence[WorkQueue] | Sequence[Pausable]) -> Stopped:
    """The lanes whose runs Prefect gives to no worker."""
    if why := _why(pool, f"the work pool {pool.name}", f"prefect work-pool {{}} {pool.name}"):
        return dict.fromkeys(Priority, why)
    named = {queue.name: queue for queue in queues}
    found: dict[Priority, str] = {}
    for lane in Priority:
        where = f"the work queue {lane} of the pool {pool.name}"
        command = f"prefect work-queue {{}} {lane} --pool {pool.name}"
        if lane in named and (why := _why(named[lane], where, command)):
            found[lane] = why
    return found


def _why(one: WorkPool | WorkQueue | Pausable, where: str, command: str) -> str:
    if one.is_paused:
        return f"{where} is paused in Prefect; `{command.format('resume')}` resumes it"
    if one.concurrency_limit == 0:
        clear = command.format("clear-concurrency-limit")
        return f"{where} has a concurrency limit of 0 in Prefect; `{clear}` removes it"
    return ""


class Notices:
    """Logs once which lanes are stopped, and once when they go on. Remembers the last state seen."""

    def __init__(self) -> None:
        self._seen: Stopped = {}
        self._said: frozenset[str] = frozenset()

    def is_stopped(self, lane: Priority) -> bool:
        """Whether the lane was stopped when Prefect last answered."""
        return lane in self._seen

    def tell(self, found: Stopped) -> None:
        self._seen = found
        now = frozenset(found.values())
        for why in sorted(now - self._said):
            logger.warning("%s; accepted notifications wait", why)
        for why in sorted(self._said - now):
            logger.warning("resolved: %s", why.partition(";")[0])
        self._said = now
