"""The ledger of a simulation: a real SQLite database in memory, with a gate before and after each commit."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from deployments.simulation.process import Process
from deployments.simulation.weather import Weather
from waypost.ledger.engine import LEASE, OPTIONS, Ledger, Work, tune_sqlite
from waypost.ledger.tables import metadata
from waypost.states import State, may_become

T = TypeVar("T")


class Database:
    """What all processes of a simulation share; it survives each of them."""

    def __init__(self) -> None:
        self._raw = sqlite3.connect(":memory:", check_same_thread=False)
        self._raw.deserialize(_empty())
        self.engine = _engine(self._raw)
        self.illegal: list[str] = []
        self._states: dict[str, str] = {}

    def transact(self, work: Work[T], writes: bool) -> T:
        """Run `work` as one transaction, and look whether every state it left was one it may leave."""
        with self.engine.connect() as connection:
            connection.execution_options(waypost_writes=writes)
            with connection.begin():
                answer = work(connection)
        if writes:
            self._check()
        return answer

    def _check(self) -> None:
        for id, state in self._raw.execute("SELECT id, state FROM notifications"):
            before = self._states.get(id, state)
            if before != state and not may_become(State(before), State(state)):
                self.illegal.append(f"{id} went from {before} to {state}")
            self._states[id] = state

    def close(self) -> None:
        """Let go of it."""
        self.engine.dispose()
        self._raw.close()


def _engine(raw: sqlite3.Connection) -> sa.Engine:
    engine = sa.create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, **OPTIONS)
    tune_sqlite(engine)
    return engine


@cache
def _empty() -> bytes:
    """A database with the ledger's tables and nothing in them, made once."""
    raw = sqlite3.connect(":memory:")
    metadata.create_all(_engine(raw))
    return raw.serialize()


class GatedLedger(Ledger):
    """The database as one process sees it."""

    def __init__(self, database: Database, process: Process, weather: Weather, lease: Any = LEASE) -> None:
        super().__init__(lease, is_postgres=False)
        self._database = database
        self._process = process
        self._weather = weather

    async def read(self, work: Work[T]) -> T:
        await self._process.step("reads the ledger")
        self._weather.ledger_answers()
        return self._database.transact(work, False)

    async def write(self, work: Work[T]) -> T:
        await self._process.step("writes to the ledger")
        self._weather.ledger_answers()
        answer = self._database.transact(work, True)
        await self._process.step("has committed")
        self._weather.answer_arrives()
        return answer

    async def close(self) -> None: ...
