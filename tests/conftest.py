"""What every tier shares: the event loop, and the two databases."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from support.rings import ring

from waypost.config.settings import with_async_driver
from waypost.ledger import Ledger, open_ledger
from waypost.ledger.database.outages import outages
from waypost.ledger.database.tables import metadata

_homes = count()
HERE = "postgresql://postgres@127.0.0.1:5432/test"


def pytest_collection() -> None:
    """Collecting makes a million objects that stay: looking through them for garbage takes a third of the
    time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadfile, a process takes a file at a time, or all files that share a server."""
    from xdist.scheduler import LoadFileScheduling

    class FilesOfAServer(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return _server_of(config.rootpath / file) or file

    return FilesOfAServer(config, log) if config.getvalue("dist") == "loadfile" else None


@cache
def _server_of(file: Path) -> str | None:
    """The server that the tests of a file share with those of other files. The tests of flows/ mostly wait:
    one process for all would be the last to end."""
    if re.search(r"def \w+\((\w+, )*up\b", file.read_text()):
        return "waypost up"
    if file.parent.name == "flows":
        return "Prefect 1" if file.stem < "test_due" else "Prefect 2"
    return None


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the settings of the machine, nor writes to its user's folders. A test's home is made when
    something is written to it: thousands of tests write nothing."""
    for name in list(os.environ):
        if name.startswith("WAYPOST_") and not name.startswith("WAYPOST_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WAYPOST_HOME", str(tmp_path_factory.getbasetemp() / f"home-{next(_homes)}"))


@pytest.fixture(autouse=True)
def new_outages() -> None:
    """What one test logged of an outage is no reason for the next to log less."""
    outages.forget()


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The server the tests may make databases on. CI fails without one, elsewhere tests skip."""
    url = os.environ.get("WAYPOST_TEST_POSTGRES_URL", HERE)
    try:
        asyncio.run(_execute(url))
    except (OSError, asyncpg.PostgresError) as error:
        named = "WAYPOST_TEST_POSTGRES_URL" in os.environ
        if named or os.environ.get("CI"):
            pytest.fail(f"PostgreSQL at {url} does not answer: {error}")
        pytest.skip("no PostgreSQL: set WAYPOST_TEST_POSTGRES_URL to run this on it")
    return url


@pytest.fixture(scope="session")
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of this session's own."""
    name = f"waypost_test_{os.getpid()}"
    asyncio.run(_execute(postgres_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    asyncio.run(_execute(postgres_server, f'CREATE DATABASE "{name}"'))
    # The server does not die under these tests: their commits need not wait for the disk.
    asyncio.run(_execute(postgres_server, f'ALTER DATABASE "{name}" SET synchronous_commit TO off'))
    url = postgres_server.rpartition("/")[0] + f"/{name}"
    asyncio.run(_migrate(url))
    yield url
    asyncio.run(_execute(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(server: str, statement: str = "SELECT") -> None:
    connected = await asyncpg.connect(server, timeout=5)
    await connected.execute(statement)
    await connected.close()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in a file with nothing in it, to be copied: its migrations take half a second."""
    file = tmp_path_factory.mktemp("empty") / "ledger.db"
    asyncio.run(_migrate(f"sqlite:///{file}"))
    return file


async def _migrate(url: str) -> None:
    ledger = open_ledger(with_async_driver(url))
    await ledger.upgrade()
    await ledger.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with the ledger's tables, once on each."""
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("empty_ledger"), tmp_path / "ledger.db")
        yield f"sqlite:///{file}"
    else:
        yield request.getfixturevalue("postgres_url")


def _empty(connection: sa.Connection) -> None:
    """Deleting a few rows takes a tenth of the time that TRUNCATE takes."""
    for table in reversed(metadata.sorted_tables):
        connection.execute(sa.delete(table))


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    """An empty ledger on each database."""
    opened = open_ledger(with_async_driver(database), ring=ring)
    if opened.is_postgres:
        await opened.write(_empty)
    yield opened
    await opened.close()
