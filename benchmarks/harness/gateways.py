"""Gateways in front of the servers that the benchmarks run, each with a key for it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.harness import servers
from benchmarks.harness.checkouts import settings_of
from benchmarks.harness.processes import (
    ROOT,
    answering,
    environment,
    free_port,
    python,
    run_to_end,
    running,
    until,
)
from benchmarks.harness.servers import Running
from waypost.config import instance


@dataclass(frozen=True, slots=True)
class Door:
    """The port of a gateway, and a key for it."""

    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def of_up(server: Running) -> AsyncGenerator[Door]:
    """The gateway that `waypost up` runs itself."""
    here = instance.find(server.home)
    assert here is not None
    port = urlsplit(here.gateway or "").port
    assert port is not None
    yield Door(port, await _key(environment(server.home)))


@asynccontextmanager
async def beside(server: Running) -> AsyncGenerator[Door]:
    """`waypost gateway` beside a worker."""
    env = environment(server.home, PREFECT_API_URL=server.api, WAYPOST_DATABASE_URL=server.ledger_url)
    async with _started(env, server.home) as door:
        yield door


@asynccontextmanager
async def alone(database: str, folder: Path = ROOT) -> AsyncGenerator[Door]:
    """`waypost gateway` of a checkout without a worker, on SQLite if no database is named."""
    with servers.new_home() as home:
        named = {"WAYPOST_DATABASE_URL": database} if database else {}
        env = environment(home, **named, **settings_of(folder))
        await run_to_end(python("waypost", "db", "upgrade"), env, folder)
        async with _started(env, home, folder) as door:
            yield door


# The gateway of a whole installation, by the database of its ledger.
BY_DATABASE: dict[str, Callable[[Running], AbstractAsyncContextManager[Door]]] = {
    "SQLite": of_up,
    "PostgreSQL": beside,
}


@asynccontextmanager
async def _started(env: dict[str, str], home: Path, folder: Path = ROOT) -> AsyncGenerator[Door]:
    door, log = Door(free_port(), await _key(env, folder)), home / "gateway.log"
    with ExitStack() as stack:
        command = python("waypost", "gateway", "--port", str(door.port))
        process = stack.enter_context(running(command, env, log, folder))
        async with answering(f"{door.url}/healthz") as answers:
            await until(answers, process, "the gateway", log)
        yield door


async def _key(env: dict[str, str], folder: Path = ROOT) -> str:
    command = python("waypost", "keys", "create", "bench", "--json")
    return json.loads(await run_to_end(command, env, folder))["key"]
