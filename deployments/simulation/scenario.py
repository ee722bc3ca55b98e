"""Runs one seed: its requests, its faults and the check of its result."""

from __future__ import annotations

import asyncio
from itertools import count
from random import Random
from random import seed as seed_jitter
from uuid import UUID

import sqlalchemy as sa

from waypost.config.settings import Settings
from waypost.deployments.simulation import virtual_time
from waypost.deployments.simulation.actors import Actors
from waypost.deployments.simulation.database import Database
from waypost.deployments.simulation.fake_prefect import FakePrefect
from waypost.deployments.simulation.faults import Faults
from waypost.deployments.simulation.invariants import judge
from waypost.deployments.simulation.ownership import Ownership
from waypost.deployments.simulation.process import Fate, Process, task_factory
from waypost.deployments.simulation.result import SimulationResult
from waypost.deployments.simulation.worker import work
from waypost.deployments.simulation.world import World
from waypost.ledger.database.tables import batches, notifications
from waypost.model.states import TERMINAL, State
from waypost.rendering.live_templates import Templates
from waypost.system import clock, ids

ENDS_WITHIN = 1200.0  # seconds after which a notification that has not ended is stuck
RESTART_SECONDS = 2.0
LOOK_SECONDS = 3.0
LOOK_AT_THE_CLOCK_SECONDS = 0.0005  # work takes no time here, so each look at the clock takes some
RETENTION_DAYS = 30 / 86400  # half a minute


def simulate(
    seed: int, settings: Settings, templates: Templates, *, at_step: int | None = None, trace: bool = False
) -> SimulationResult:
    """Run one seed to its end. at_step: kill a process at exactly that step, and nothing else goes wrong.

    The same arguments give the same result and the same trace, on every machine.
    """
    result = SimulationResult(seed)
    numbers = count(1)
    seed_jitter(seed)  # policy's jitter
    with ids.use_ids(lambda: UUID(int=next(numbers))):
        virtual_time.run(_Scenario(Random(seed), result, settings, templates, at_step, trace).run())
    return result


class _Scenario:
    def __init__(
        self,
        random: Random,
        result: SimulationResult,
        settings: Settings,
        templates: Templates,
        at_step: int | None,
        trace: bool,
    ) -> None:
        self._random = random
        self._result = result
        self._trace = trace
        faults = Faults.drawn(random, _time) if at_step is None else Faults(random, _time)
        self._faults = faults
        self._fate = Fate(random, faults.deaths, at_step)
        self._world = World(
            time=_time,
            faults=faults,
            database=Database(_time),
            server=FakePrefect(faults),
            ownership=Ownership(_time),
            settings=settings,
            templates=templates,
            retention_days=RETENTION_DAYS if random.random() < 0.3 else None,
        )
        self._actors = Actors(random, self._world, Process("client", Fate(random, 0.0), self._say))

    async def run(self) -> None:
        asyncio.get_running_loop().set_task_factory(task_factory)
        looks = count()
        with clock.use_clock(
            lambda: self._world.by_the_clock_of(Process.present.get()),
            steady=lambda: next(looks) * LOOK_AT_THE_CLOCK_SECONDS,
        ):
            try:
                everybody = [
                    asyncio.create_task(self._keep_alive(f"worker {number}"))
                    for number in range(1, 1 + self._random.choice((1, 1, 2, 3)))
                ]
                everybody.append(asyncio.create_task(self._actors.schedule()))
                await self._actors.act()
                await self._until_all_has_ended()
                for one in everybody:
                    one.cancel()
                await asyncio.wait(everybody)
                self._result.steps = self._fate.steps
                judge(self._result, self._world, self._actors.asked)
            finally:
                self._world.database.close()

    def _say(self, line: str) -> None:
        if self._trace:
            self._result.trace.append(f"{_time():9.3f} {line}")

    async def _keep_alive(self, name: str) -> None:
        """Start the process again whenever it has died."""
        for life in count(1):
            process = Process(f"{name}.{life}", self._fate, self._say)
            process.skew = self._world.jumped(0.0)
            main = process.start(lambda process=process: work(process, self._world))
            try:
                await asyncio.wait([main])
            except asyncio.CancelledError:
                self._result.illegal += process.trouble
                process.kill()
                await process.gone()
                raise
            self._faults.disturb()
            self._result.illegal += process.trouble
            self._result.kills += 1
            await process.gone()
            await asyncio.sleep(RESTART_SECONDS * self._random.random())

    async def _until_all_has_ended(self) -> None:
        """Wait until nothing is open in the ledger or in Prefect, and no delivery is going on."""
        while _time() < ENDS_WITHIN and (self._unended() or not self._world.idle):
            await asyncio.sleep(LOOK_SECONDS)
            if self._faults.calm:
                self._fate.chance = 0.0
        self._result.seconds = _time()

    def _unended(self) -> bool:
        """Whether a notification waits, is claimed, or waits for its digest."""
        return any(self._world.database.rows(look) for look in _OPEN)


# The items of a digest end with it, and a notification in doubt waits for a person.
_OPEN = (
    sa.select(notifications.c.id)
    .where(
        notifications.c.state.not_in(sorted(TERMINAL)),
        notifications.c.digest_id.is_(None),
        sa.or_(notifications.c.state != State.HELD, notifications.c.reason == "digest"),
    )
    .limit(1),
    sa.select(batches.c.id).where(batches.c.ended_at.is_(None)).limit(1),
)


def _time() -> float:
    return asyncio.get_running_loop().time()
