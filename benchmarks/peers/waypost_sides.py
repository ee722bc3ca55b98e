"""Waypost as a side: a gateway, a worker process, the ledger on one of the two databases, and Prefect."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import sqlalchemy as sa

from benchmarks.harness import gateways, servers
from benchmarks.harness.gateways import Door
from benchmarks.harness.processes import environment, python, run_to_end
from benchmarks.harness.servers import Running
from benchmarks.peers.sides import CONNECTIONS, Side, kill
from waypost.ledger.database.tables import notifications
from waypost.model.states import State


def sides() -> list[Side]:
    """Waypost on each database."""
    return [
        Side(
            name=f"Waypost, {kind}",
            open=partial(_opened, kind),
            accepted="in the ledger, each with its key",
            sent="a row per attempt; Prefect shows the runs",
            recovers="a lease of 30 s (the default)",
        )
        for kind in servers.BY_DATABASE
    ]


class Installation:
    """Waypost and its gateway."""

    def __init__(self, server: Running, door: Door, stack: ExitStack) -> None:
        self.log = server.log
        self._server, self._door, self._stack = server, door, stack
        self._process = server.process

    async def post(self, series: str, count: int) -> float:
        program = python("benchmarks.peers.post_orders", str(self._door.port), series, str(count))
        return float(await run_to_end(program, environment(self._server.home, WAYPOST_KEY=self._door.key)))

    async def unfinished(self) -> int:
        return await self._count(notifications.c.state != State.SENT)

    async def doubtful(self) -> int:
        return await self._count(notifications.c.in_doubt > 0)

    def restart(self) -> None:
        kill(self._process)
        self._process = self._stack.enter_context(self._server.again())

    async def _count(self, which: sa.ColumnElement[bool]) -> int:
        ledger = self._server.ledger()
        counted = sa.select(sa.func.count()).where(which)
        try:
            return await ledger.read(lambda connection: connection.scalar(counted) or 0)
        finally:
            await ledger.close()


@asynccontextmanager
async def _opened(kind: str, port: int) -> AsyncGenerator[Installation]:
    smtp_url = f"smtp://127.0.0.1:{port}?connections={CONNECTIONS}"
    async with servers.BY_DATABASE[kind](smtp_url) as server, gateways.BY_DATABASE[kind](server) as door:
        with ExitStack() as stack:
            yield Installation(server, door, stack)
