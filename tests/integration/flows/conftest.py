"""A real Prefect server, as `waypost up` embeds it, and a runtime with channels in memory."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import embedded
from deployments.farewell import flush_prefect
from waypost.channels.memory import MemoryChannel
from waypost.runtime import Runtime
from waypost.settings import Settings


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
    async with embedded.running(home, "127.0.0.1", port) as api:
        with temporary_settings({PREFECT_API_URL: api}):
            yield Server(api, home)
            await flush_prefect()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[PrefectClient]:
    async with get_client() as opened:
        yield opened


@dataclass
class Bench:
    """The runtime, and its three providers in the order of the route."""

    runtime: Runtime
    primary: MemoryChannel
    backup: MemoryChannel
    sms: MemoryChannel


@pytest.fixture
async def bench(server: Server, empty_ledger: Path) -> AsyncIterator[Bench]:
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
