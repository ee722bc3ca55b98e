"""Logs the changes of the ledger, and which of them are illegal.

The database itself reports each change, within the transaction that makes it, whatever the statement; and
it keeps the rows that retention deletes, for the checks at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.deployments.simulation.faults import Spell
from waypost.ledger.database.tables import attempts, idempotency_keys, notifications
from waypost.model.states import TERMINAL, State, may_become

FOREVER = float("inf")

_shadows = sa.MetaData()
_gone = {
    table: sa.Table(
        f"gone_{table.name}", _shadows, *(sa.Column(column.name, column.type) for column in table.columns)
    )
    for table in (notifications, attempts, idempotency_keys)
}
_REPORTED = {
    "UPDATE OF state ON notifications WHEN OLD.state <> NEW.state": (
        "'moved', NEW.id, NEW.type, OLD.state, NEW.state"
    ),
    "DELETE ON notifications": "'deleted', OLD.id",
    "INSERT ON holds": "'held', NEW.type",
    "DELETE ON holds": "'released', OLD.type",
}


class ChangeLog:
    """The log of one simulation. time: seconds since it began, by no process's clock.

    ended: when each notification last ended. deleted: how many seconds later retention deleted it; 0 when it
    had not ended. holds: when each type was held.
    """

    def __init__(self, raw: sqlite3.Connection, time: Callable[[], float]) -> None:
        self.illegal: list[str] = []
        self.ended: dict[UUID, float] = {}
        self.deleted: dict[UUID, float] = {}
        self.holds: dict[str, list[Spell]] = {}
        self._time = time
        self._noted: list[tuple[str, ...]] = []
        raw.create_function("noted", -1, lambda *what: self._noted.append(what))

    def rolled_back(self) -> None:
        """Discard the changes of the transaction."""
        self._noted.clear()

    def committed(self) -> None:
        """Log the changes of the transaction."""
        for what in self._noted:
            match what:
                case ("moved", id, type, was, became):
                    self._moved(id, type, State(was), State(became))
                case ("deleted", id):
                    self.deleted[UUID(id)] = self._time() - self.ended.get(UUID(id), self._time())
                case ("held", type):
                    self.holds.setdefault(type, []).append((self._time(), FOREVER))
                case ("released", type):
                    self.holds[type].append((self.holds[type].pop()[0], self._time()))
                case _:
                    pass
        self._noted.clear()

    def _moved(self, id: str, type: str, was: State, became: State) -> None:
        if not may_become(was, became):
            self.illegal.append(f"{UUID(id)} went from {was} to {became}")
        if became is State.SENDING and self._is_held(type):
            self.illegal.append(f"{UUID(id)} was started while {type} was held")
        if became in TERMINAL:
            self.ended[UUID(id)] = self._time()

    def _is_held(self, type: str) -> bool:
        return type in self.holds and self.holds[type][-1][1] == FOREVER


def prepare(connection: sa.Connection) -> None:
    """Make a database with the ledger's tables report to a ChangeLog."""
    _shadows.create_all(connection)
    for table, gone in _gone.items():
        columns = ", ".join(f"OLD.{column.name}" for column in table.columns)
        keep = f"INSERT INTO {gone.name} VALUES ({columns})"  # noqa: S608 - names of our own tables
        connection.exec_driver_sql(
            f"CREATE TRIGGER keep_{table.name} AFTER DELETE ON {table.name} BEGIN {keep}; END"
        )
    for number, (change, what) in enumerate(_REPORTED.items()):
        connection.exec_driver_sql(
            f"CREATE TRIGGER report_{number} AFTER {change} BEGIN SELECT noted({what}); END"
        )


def all_of(table: sa.Table) -> sa.CompoundSelect[Any]:
    """Every row there ever was, including those that retention deleted."""
    return sa.union_all(sa.select(table), sa.select(_gone[table]))
