"""A real Prefect server, as `waypost up` embeds it, and a runtime with channels in memory."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.processes import FEW_TYPES
from uuid_utils.compat import uuid7

from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments import deploy, registry
from waypost.deployments.dispatcher.dispatcher import Dispatcher
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.prefect_runs import PrefectRuns
from waypost.deployments.processes import prefect_server, without_prefect
from waypost.deployments.processes.flush import flush_prefect
from waypost.deployments.processes.worker import OtherWorkers
from waypost.deployments.registry import registered
from waypost.rendering.live_templates import Templates


@dataclass
class Server:
    api: str
    home: Path


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with prefect_server.running(home, "127.0.0.1", port) as api:
        with temporary_settings({PREFECT_API_URL: api}):
            yield Server(api, home)
            await flush_prefect()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[PrefectClient]:
    async with get_client() as opened:
        yield opened


@pytest.fixture
async def undeployed(client: PrefectClient) -> str:
    """The name of a work pool that is not there yet, on a server without deployments."""
    for one in await client.read_deployments():
        await client.delete_deployment(one.id)
    return f"pool-{uuid7().hex}"


@pytest.fixture
def few_types(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some of the shipped types are used: to deploy all takes a second."""
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", FEW_TYPES)
    registry._found.cache_clear()
    yield
    registry._found.cache_clear()


@pytest.fixture
async def pool(client: PrefectClient, undeployed: str, few_types: None) -> str:
    """A work pool of the test's own, with deployments of some types in it."""
    await deploy.deploy(client, undeployed)
    return undeployed


@dataclass
class Bench:
    """The runtime, and its three providers in the order of the route."""

    runtime: Runtime
    primary: MemoryChannel
    backup: MemoryChannel
    sms: MemoryChannel


@pytest.fixture
async def bench(server: Server, empty_ledger: Path) -> AsyncIterator[Bench]:
    assert Runtime._own.get() is None, "a test before this one adopted a runtime in every test's context"
    settings = Settings(templates=Path(__file__).parents[2] / "templates")
    settings.home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_ledger, settings.home / "ledger.db")
    channels = [
        MemoryChannel("primary"),
        MemoryChannel("backup"),
        MemoryChannel("texts", kind="sms"),
    ]
    async with Runtime.open(settings, list(channels)) as runtime:
        yield Bench(runtime, *channels)


class Steady:
    """A clock that is moved by hand."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
async def dispatching(bench: Bench, client: PrefectClient, steady: Steady, pool: str) -> Any:
    """Makes dispatchers on the bench's ledger, with deployments and a pool of the test's own."""
    bench.runtime.templates = Templates(Settings().template_folders)

    @asynccontextmanager
    async def make(
        prefect: PrefectClient = client,
        slots: int = 10,
        stop: asyncio.Event | None = None,
        seconds_apart: float = 0.0,
    ) -> AsyncIterator[Dispatcher]:
        outage = PrefectOutage(steady, stop)
        yield Dispatcher(
            ledger=bench.runtime.ledger,
            types={name: one.type for name, one in registered().items()},
            runs=PrefectRuns(prefect, pool, outage),
            worker=OtherWorkers(),
            leases=bench.runtime.leases,
            outage=outage,
            deliver=without_prefect.deliver,
            is_stopped=lambda _: False,
            slots=slots,
            starts_within=60,
            steady=steady,
            seconds_apart=lambda _type, _lane: seconds_apart,
        )

    make.pool = pool  # type: ignore[attr-defined]
    return make
