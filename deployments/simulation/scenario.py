"""One seed: what is asked for, what goes wrong, and what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from random import seed as seed_jitter
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from deployments.simulation import virtual
from deployments.simulation.prefect import Server
from deployments.simulation.process import Fate, Process, task_factory
from deployments.simulation.provider import Delivered
from deployments.simulation.store import Database, GatedLedger
from deployments.simulation.types import TYPES, Note
from deployments.simulation.weather import Weather
from deployments.simulation.worker import LEASE, Surroundings, TrueTime, skewed, work
from waypost import Recipient, Request, clock, ids
from waypost.ledger import intake
from waypost.ledger.tables import attempts, batches, notifications
from waypost.settings import Settings
from waypost.states import TERMINAL, State
from waypost.templating import Templates

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENDS_WITHIN = 1200.0  # seconds after which what has not come to an end is stuck
RESTART_SECONDS = 2.0
ARRIVE_WITHIN = 40.0
TOLERANCE = 0.5  # seconds a clock reading and the wire may lie apart


@dataclass(slots=True)
class Verdict:
    """What came of a seed. The lists say what is wrong, a line each; empty, all is well."""

    seed: int
    accepted: int = 0
    delivered: int = 0
    duplicated: int = 0
    unknown: int = 0
    kills: int = 0
    steps: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict[str, int])
    lost: list[str] = field(default_factory=list[str])
    unexplained: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    illegal: list[str] = field(default_factory=list[str])
    trace: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        """Nothing lost, late or illegal, and every duplicate explained by an UNKNOWN."""
        return not (self.lost or self.unexplained or self.late or self.illegal)


def simulate(
    seed: int, settings: Settings, templates: Templates, *, at_step: int | None = None, trace: bool = False
) -> Verdict:
    """Run one seed to its end. at_step: kill a process at exactly that step, and nothing else goes wrong.

    The same arguments give the same verdict and the same trace, on every machine.
    """
    verdict = Verdict(seed)
    numbers = count(1)
    random = Random(seed)
    seed_jitter(seed)  # policy's jitter
    with ids.made_by(lambda: UUID(int=next(numbers))):
        virtual.run(_World(random, verdict, settings, templates, at_step, trace).run())
    return verdict


class _World:
    def __init__(
        self,
        random: Random,
        verdict: Verdict,
        settings: Settings,
        templates: Templates,
        at_step: int | None,
        trace: bool,
    ) -> None:
        self._random = random
        self._verdict = verdict
        self._trace = trace
        self._true_time = TrueTime(BEGAN)
        loop_time = lambda: asyncio.get_running_loop().time()  # noqa: E731
        if at_step is None:
            self._weather = Weather.drawn(random, loop_time)
        else:
            self._weather = Weather(random, loop_time, deaths=0.0, lost_answers=0.0)
        self._fate = Fate(random, self._weather.deaths, at_step)
        self._database = Database()
        self._around = Surroundings(
            weather=self._weather,
            database=self._database,
            server=Server(self._weather),
            mailboxes={"primary": [], "backup": []},
            settings=settings,
            templates=templates,
            true_time=self._true_time,
        )
        self._accepted: list[UUID] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_factory)
        with clock.told_by(lambda: skewed(Process.present.get(), self._true_time)):
            try:
                keepers = [
                    asyncio.create_task(self._keep_alive(f"worker {number}"))
                    for number in range(1, 2 + self._random.randrange(3))
                ]
                await self._ask()
                await self._until_all_has_ended()
                for keeper in keepers:
                    keeper.cancel()
                await asyncio.wait(keepers)
                self._judge()
            finally:
                self._database.close()

    def _say(self, line: str) -> None:
        if self._trace:
            self._verdict.trace.append(f"{asyncio.get_running_loop().time():9.3f} {line}")

    async def _keep_alive(self, name: str) -> None:
        """Start the process again whenever it has died."""
        for life in count(1):
            process = Process(f"{name}.{life}", self._fate, self._say)
            if self._weather.happens(self._weather.jumps / 40):
                process.skew = self._random.uniform(-self._weather.jumps, self._weather.jumps)
            main = process.start(lambda process=process: work(process, self._around))
            try:
                await asyncio.wait([main])
            except asyncio.CancelledError:
                self._verdict.illegal += process.trouble
                process.kill()
                await process.gone()
                raise
            self._verdict.illegal += process.trouble
            self._verdict.kills += 1
            await process.gone()
            await asyncio.sleep(RESTART_SECONDS * self._random.random())
            if self._weather.calm:
                self._fate.chance = 0.0

    async def _ask(self) -> None:
        """A client accepts requests under idempotency keys, and asks again until it has an answer."""
        client = Process("client", Fate(self._random, 0.0), self._say)
        ledger = GatedLedger(self._database, client, self._weather, LEASE)
        for number in range(self._random.randint(2, 6)):
            await asyncio.sleep(self._random.uniform(0, ARRIVE_WITHIN / 6))
            type = self._random.choice(list(TYPES.values()))
            requests = [self._request(f"{number}-{n}") for n in range(self._random.randint(1, 4))]
            while True:
                try:
                    receipts = await intake.accept(ledger, type, requests)
                    break
                except OSError:
                    await asyncio.sleep(0.5)
            self._accepted += [receipt.id for receipt in receipts]

    def _request(self, key: str) -> Request[Note]:
        moment = self._true_time()
        late, brief = self._random.random() < 0.15, self._random.random() < 0.35
        return Request[Note](
            recipient=Recipient(id=key, phone="+15550100"),
            data=Note(text=key),
            idempotency_key=key,
            deliver_at=moment + timedelta(seconds=self._random.uniform(1, 30)) if late else None,
            expires_at=moment + timedelta(seconds=self._random.uniform(5, 60)) if brief else None,
        )

    async def _until_all_has_ended(self) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < ENDS_WITHIN:
            await asyncio.sleep(5)
            if self._weather.calm:
                self._fate.chance = 0.0
            if not self._unended():
                break
        # Work that a lost run held may still be on its way to somebody who would send it again.
        await asyncio.sleep(LEASE.total_seconds() * 3)
        self._verdict.seconds = loop.time()

    def _unended(self) -> int:
        open_ones = sa.select(sa.func.count()).where(notifications.c.state.not_in({*TERMINAL, State.HELD}))
        held_batches = sa.select(sa.func.count()).where(batches.c.ended_at.is_(None))
        return self._database.transact(
            lambda connection: (connection.scalar(open_ones) or 0) + (connection.scalar(held_batches) or 0),
            writes=False,
        )

    def _judge(self) -> None:
        rows = self._rows(sa.select(notifications))
        known = {row.id: row for row in rows}
        unknown = Counter(
            row.notification_id
            for row in self._rows(
                sa.select(attempts.c.notification_id).where(attempts.c.verdict == "unknown")
            )
        )
        delivered = [one for mailbox in self._around.mailboxes.values() for one in mailbox]
        found = self._verdict
        found.accepted = len(self._accepted)
        found.steps = self._fate.steps
        found.delivered = len(delivered)
        found.unknown = unknown.total()
        found.states = dict(Counter(row.state for row in rows))
        found.illegal += self._database.illegal
        self._judge_lost(known, {one.id for one in delivered})
        self._judge_twice(Counter(one.id for one in delivered), unknown)
        self._judge_late(delivered)

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        return self._database.transact(lambda connection: connection.execute(query).all(), writes=False)

    def _judge_lost(self, known: dict[UUID, sa.Row[Any]], delivered: set[UUID]) -> None:
        for id in self._accepted:
            row = known.get(id)
            if row is None:
                self._verdict.lost.append(f"{id} was accepted and is not in the ledger")
            elif row.state not in {*TERMINAL, State.HELD}:
                self._verdict.lost.append(f"{id} is stuck in {row.state}: {row.reason}")
            elif row.state == State.SENT and id not in delivered:
                self._verdict.lost.append(f"{id} is said to be sent, and no provider has it")

    def _judge_twice(self, times: Counter[UUID], unknown: Counter[UUID]) -> None:
        for id, number in times.items():
            if number > 1:
                self._verdict.duplicated += number - 1
                if unknown[id] < number - 1:
                    self._verdict.unexplained.append(
                        f"{id} was delivered {number} times, {unknown[id]} unknown"
                    )

    def _judge_late(self, delivered: Sequence[Delivered]) -> None:
        allowed = TOLERANCE + self._weather.jumps
        self._verdict.late = [f"{one.id} by {one.late:.1f} s" for one in delivered if one.late > allowed]
