"""The ledger of a simulation: a real SQLite database in memory, with a gate before and after each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, StaticPool

from waypost.deployments.simulation import change_log
from waypost.deployments.simulation.change_log import ChangeLog
from waypost.deployments.simulation.faults import Faults
from waypost.deployments.simulation.process import Process
from waypost.ledger.database.ledger import LEASE, Ledger, Work, leaving
from waypost.ledger.database.open import OPTIONS
from waypost.ledger.database.sealing import HASH_KEY, OPTION, Sealing
from waypost.ledger.database.tables import installation, metadata

T = TypeVar("T")

# Nothing is encrypted, and each database has the same key of hashes: a seed replays exactly.
SEALING = Sealing()


class Database:
    """The database that all processes of a simulation share; it survives each of them."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._connection = _engine().connect()
        raw: Any = self._connection.connection.driver_connection
        self._raw: sqlite3.Connection = raw
        self.journal = ChangeLog(raw, time)

    def transact(self, work: Work[T], writes: bool) -> T:
        """Run `work`, its writes as one transaction, and log what it changed."""
        # BEGIN and COMMIT go to SQLite directly: SQLAlchemy's own transactions cost as much as the work.
        if not writes:
            return work(self._connection)
        self._raw.execute("BEGIN")
        try:
            answer = work(self._connection)
        except BaseException:
            self._raw.execute("ROLLBACK")
            self.journal.rolled_back()
            raise
        self._raw.execute("COMMIT")
        self.journal.committed()
        return answer

    def rows(self, query: sa.Select[Any] | sa.CompoundSelect[Any]) -> list[sa.Row[Any]]:
        """The rows that `query` finds; the read takes no step in the simulation."""
        return self.transact(lambda connection: list(connection.execute(query).all()), writes=False)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@cache
def _engine() -> sa.Engine:
    """One engine for all simulations, so that they share the statements that SQLAlchemy compiled; each
    connection is a database of its own."""
    options = {**OPTIONS, "execution_options": {OPTION: SEALING}}
    return sa.create_engine("sqlite://", creator=_fresh, poolclass=NullPool, **options)


def _fresh() -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    raw.deserialize(_empty())
    raw.execute("PRAGMA foreign_keys=ON")
    return raw


@cache
def _empty() -> bytes:
    """A database with the ledger's tables, all empty, created once."""
    raw = sqlite3.connect(":memory:")
    with sa.create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool).begin() as connection:
        metadata.create_all(connection)
        connection.execute(sa.insert(installation).values(name=HASH_KEY, value="00" * 32))
        change_log.prepare(connection)
    return raw.serialize()


class GatedLedger(Ledger):
    """The database as one process sees it."""

    def __init__(self, database: Database, process: Process, faults: Faults, lease: Any = LEASE) -> None:
        super().__init__(lease, SEALING, is_postgres=False)
        self._database = database
        self._process = process
        self._faults = faults

    async def read(self, work: Work[T]) -> T:
        with leaving():
            await self._process.step("reads the ledger")
            self._faults.ledger_answers()
            return self._database.transact(work, False)

    async def write(self, work: Work[T]) -> T:
        with leaving():
            await self._process.step("writes to the ledger")
            self._faults.ledger_answers()
            answer = self._database.transact(work, True)
            await self._process.step("has committed")
            self._faults.answer_arrives()
            return answer

    async def close(self) -> None: ...
