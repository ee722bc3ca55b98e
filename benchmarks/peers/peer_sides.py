"""The peers as sides: each is one program, which prepares its database, works, enqueues, and counts.

Their commands are described in python/program.py. Their settings are in the environment.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.harness import databases, installed, servers
from benchmarks.harness.processes import ROOT, run_to_end, running
from benchmarks.peers.samples import Samples
from benchmarks.peers.sides import CONNECTIONS, Side, kill

PEERS = ROOT / "benchmarks" / "peers"
REDIS = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's program. connections: to the SMTP server. renders: whether it can, besides sending finished
    texts."""

    name: str
    program: str
    accepted: str
    sent: str
    recovers: str
    connections: int = CONNECTIONS
    renders: bool = True


BULLMQ = Peer(
    name="BullMQ",
    program="bullmq/peer.js",
    accepted="in Redis",
    sent="the last 1,000 jobs are kept",
    recovers="a lock of 30 s, looked at every 30 s (the defaults)",
    renders=False,
)
POST_OFFICE = Peer(
    name="post_office",
    program="python/post_office_peer.py",
    accepted="in PostgreSQL",
    sent="a status and a log row per mail, written after each batch",
    recovers="at once: what has no status is sent again",
    connections=16,
)
CELERY = Peer(
    name="Celery",
    program="python/celery_peer.py",
    accepted="in Redis",
    sent="no record (results are ignored)",
    recovers="visibility timeout of 30 s (default: an hour), looked at every 5 s",
    connections=4,
)
PROCRASTINATE = Peer(
    name="procrastinate",
    program="python/procrastinate_peer.py",
    accepted="in PostgreSQL",
    sent="a status and events per job",
    recovers="heartbeat of 30 s (the default), looked at every 5 s",
)
PEERS_IN_TURN = (BULLMQ, POST_OFFICE, CELERY, PROCRASTINATE)


async def sides(samples: Samples) -> list[Side]:
    """Every peer with finished texts, then those that render."""
    commands = {peer.name: await _command(peer) for peer in PEERS_IN_TURN}
    return [
        Side(
            name=f"{peer.name}, rendering" if renders else peer.name,
            open=partial(_opened, commands[peer.name], _given(peer, samples, renders)),
            accepted=peer.accepted,
            sent=peer.sent,
            recovers=peer.recovers,
        )
        for renders in (False, True)
        for peer in PEERS_IN_TURN
        if peer.renders or not renders
    ]


@dataclass(frozen=True, slots=True)
class Command:
    """How a peer's program is started."""

    line: list[str]
    environment: Mapping[str, str]


async def _command(peer: Peer) -> Command:
    """Raises NotMeasured when it cannot be installed."""
    file = PEERS / peer.program
    if file.suffix == ".js":
        modules = await installed.node_modules(file.parent)
        return Command(["node", str(file)], {"NODE_PATH": str(modules), "NODE_ENV": "production"})
    return Command([str(await installed.python(file.parent)), str(file)], {})


def _given(peer: Peer, samples: Samples, renders: bool) -> dict[str, str]:
    return {
        "PEER_MAILS": str(samples.mails),
        "PEER_TEMPLATES": str(samples.templates) if renders else "",
        "PEER_CONNECTIONS": str(peer.connections),
    }


class Program:
    """A peer's program, with its worker."""

    def __init__(self, command: Command, env: Mapping[str, str], log: Path, stack: ExitStack) -> None:
        self.log = log
        self._line, self._env, self._stack = command.line, env, stack
        self._start()

    async def post(self, series: str, count: int) -> float:
        return float(await run_to_end([*self._line, "post", series, str(count)], self._env))

    async def unfinished(self) -> int:
        return int(await run_to_end([*self._line, "unfinished"], self._env))

    async def doubtful(self) -> None:
        """A mail that went just before the kill looks like one that did not go."""

    def restart(self) -> None:
        kill(self._process)
        self._start()

    def _start(self) -> None:
        self._process = self._stack.enter_context(running([*self._line, "work"], self._env, self.log))


@asynccontextmanager
async def _opened(command: Command, given: Mapping[str, str], port: int) -> AsyncGenerator[Program]:
    async with databases.fresh("peer") as (database,):
        with servers.new_home() as home:
            env = {
                **os.environ,
                **command.environment,
                **given,
                "PYTHONUNBUFFERED": "1",
                "PEER_HOME": str(home),
                "PEER_DATABASE_URL": database,
                "PEER_REDIS_URL": os.environ.get("WAYPOST_TEST_REDIS_URL", REDIS),
                "PEER_PREFIX": f"{home.name}:",
                "PEER_SMTP_HOST": "127.0.0.1",
                "PEER_SMTP_PORT": str(port),
            }
            await run_to_end([*command.line, "prepare"], env)
            try:
                with ExitStack() as stack:
                    yield Program(command, env, home / "worker.log", stack)
            finally:
                await run_to_end([*command.line, "clean"], env)
