"""A Waypost installation under test: a ledger, the servers around it, its commands and its workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from prefect.client.orchestration import PrefectClient
from support import forks, processes
from support.ledger import rows
from support.processes import eventually

from chaos.servers import PrefectServer, Sink, end, launch
from waypost.config.settings import Settings
from waypost.deployments.deploy import deploy
from waypost.deployments.file_send import submit
from waypost.deployments.registry import find
from waypost.ledger import Ledger, ledger_of

ENDED = {"sent", "failed", "expired", "held", "cancelled", "suppressed"}


@dataclass
class Installation:
    """settings: more environment of every command, such as `WAYPOST_LEASE_SECONDS`; an empty value unsets."""

    home: Path
    prefect: PrefectServer
    sink: Sink
    database: str | None = None
    connections: int = 8
    settings: dict[str, str] = field(default_factory=dict)
    _started: list[Worker] = field(default_factory=list)

    def install(self) -> Installation:
        """Create its ledger, and deploy to Prefect."""
        self.home.mkdir(parents=True, exist_ok=True)
        asyncio.run(self._install())
        return self

    async def _install(self) -> None:
        ledger = self.ledger()
        await ledger.upgrade()
        await ledger.close()
        async with PrefectClient(self.prefect.api) as client:
            await deploy(client, self.settings.get("WAYPOST_WORK_POOL", "waypost"))

    @property
    def environment(self) -> dict[str, str]:
        named = {"WAYPOST_DATABASE_URL": self.database} if self.database else {}
        told = {
            "PREFECT_API_URL": self.prefect.api,
            "PREFECT_HOME": str(self.home / "prefect-client"),
            "WAYPOST_SMTP_URL": self.sink.url(self.connections),
        }
        chosen = {name: value for name, value in (told | named | self.settings).items() if value}
        return processes.environment(self.home, **chosen)

    def command(self, *arguments: str) -> processes.Run:
        """Run `waypost ...` to its end."""
        return forks.run(processes.command(*arguments), 120, env=self.environment, cwd=self.home)

    def send(self, type: str, requests: Iterable[dict[str, Any]], *options: str) -> processes.Run:
        """`waypost send`."""
        file = self.home / f"{len(list(self.home.glob('*.jsonl')))}.jsonl"
        file.write_bytes(b"".join(_lines(requests)))
        return self.command("send", type, "--from", str(file), *options)

    def accept(self, type: str, requests: Iterable[dict[str, Any]]) -> int:
        """Accept as `waypost send` does, without the start of a process; returns how many were accepted."""
        return asyncio.run(self._accept(type, list(_lines(requests))))

    async def _accept(self, type: str, lines: list[bytes]) -> int:
        ledger = self.ledger()
        try:
            sent = await submit(ledger, find(type), lines)
        finally:
            await ledger.close()
        assert not sent.rejections, sent.rejections[0]
        return sent.accepted

    def worker(self, *arguments: str) -> Worker:
        """A worker that takes runs."""
        started = self.spare(*arguments)
        started.begin()
        return started

    def spare(self, where: str = "") -> Worker:
        """A worker process that has not begun yet; see spare.py."""
        return self.start("chaos.spare", *([where] if where else []))

    def start(self, module: str, *arguments: str) -> Worker:
        """Run a module of Waypost or Prefect as a process beside the workers; the installation ends it."""
        log = self.home / f"process-{len(self._started)}.log"
        process = launch([sys.executable, "-m", module, *arguments], self.environment, log)
        started = Worker(process, log)
        self._started.append(started)
        return started

    def stop(self) -> None:
        """End all processes that still run."""
        for one in self._started:
            if one.process.poll() is None:
                end(one.process)
        self._started.clear()

    def query(self, text: str) -> Sequence[Any]:
        """Rows of the ledger, as it keeps them."""
        return self._reading(
            lambda ledger: ledger.read(lambda connection: connection.execute(sa.text(text)).all())
        )

    def rows(self, table: sa.Table) -> Sequence[Any]:
        """Every row of a table, with its personal data."""
        return self._reading(lambda ledger: rows(ledger, table))

    def _reading(self, look: Callable[[Ledger], Awaitable[Sequence[Any]]]) -> Sequence[Any]:
        async def read() -> Sequence[Any]:
            ledger = self.ledger()
            try:
                return await look(ledger)
            finally:
                await ledger.close()

        return asyncio.run(read())

    def ledger(self) -> Ledger:
        """Its ledger, with the keys of its processes."""
        return ledger_of(Settings.model_validate({"home": self.home, "database_url": self.database}))

    def states(self) -> dict[str, int]:
        """How many notifications are in each state."""
        return dict(list(self.query("SELECT state, count(*) FROM notifications GROUP BY state")))

    def until_ended(self, seconds: float = 120.0) -> dict[str, int]:
        """The states, once every notification has ended or waits for a person."""

        def ended() -> dict[str, int] | None:
            found = self.states()
            return found if found.keys() <= ENDED else None

        try:
            return eventually(ended, seconds)
        except AssertionError:
            raise AssertionError(f"after {seconds:g} s: {self.states()}; {self._last_words()}") from None

    def _last_words(self) -> str:
        return "\n".join(f"{one.log.name}: {one.log.read_text()[-2000:]}" for one in self._started[-3:])

    def books(self) -> Books:
        """Compare the ledger with the mail server's log."""
        rows = self.query("SELECT id, state, in_doubt FROM notifications")
        return audit([(UUID(str(row[0])).hex, row[1], row[2]) for row in rows], self.sink.copies())


@dataclass
class Worker:
    """A process, and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def begin(self, command: str = "worker") -> None:
        """Let a spare process run `command`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def until(self, said: str, seconds: float = 60.0) -> Worker:
        """Wait until its log has the text `said`."""

        def told() -> bool:
            text = self.log.read_text()
            assert self.process.poll() is None, text
            return said in text

        eventually(told, seconds)
        return self

    def ready(self) -> Worker:
        """Wait until the worker takes runs."""
        return self.until("taking runs of the pool")

    def kill(self) -> None:
        """kill -9"""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Books:
    """accepted: rows of the ledger. lost: neither arrived nor held for a person. twice: copies beyond
    the first. unexplained: more copies than attempts in doubt allow, and mails without a row."""

    accepted: int
    states: dict[str, int]
    lost: int
    twice: int
    doubtful: int
    unexplained: int


def audit(rows: Sequence[tuple[str, str, int]], copies: Counter[str]) -> Books:
    """rows: id, state and attempts in doubt of every notification. copies: mails by id."""
    doubts = {id: in_doubt for id, _, in_doubt in rows}
    return Books(
        accepted=len(rows),
        states=dict(Counter(state for _, state, _ in rows)),
        lost=sum(not copies[id] for id, state, _ in rows if state != "held"),
        twice=sum(count - 1 for count in copies.values() if count > 1),
        doubtful=sum(in_doubt > 0 for in_doubt in doubts.values()),
        unexplained=sum(count > 1 + doubts.get(id, -1) for id, count in copies.items()),
    )


@contextmanager
def installation(
    home: Path, prefect: PrefectServer, sink: Sink, database: str | None = None, **more: Any
) -> Generator[Installation]:
    """An installation that lasts as long as the block."""
    made = Installation(home, prefect, sink, database, **more)
    try:
        yield made.install()
    finally:
        made.stop()


def _lines(requests: Iterable[dict[str, Any]]) -> Iterable[bytes]:
    return (json.dumps(request).encode() + b"\n" for request in requests)
