"""What every tier shares: the event loop, and the two databases."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from waypost.ledger import Ledger, open_ledger
from waypost.ledger.tables import metadata
from waypost.settings import with_async_driver

HERE = "postgresql://postgres@127.0.0.1:5432/test"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings of the machine, nor writes to its user's folders."""
    for name in list(os.environ):
        if name.startswith("WAYPOST_") and not name.startswith("WAYPOST_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WAYPOST_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
async def postgres_server() -> str:
    """The server the tests may make databases on. CI fails without one, elsewhere tests skip."""
    url = os.environ.get("WAYPOST_TEST_POSTGRES_URL", HERE)
    try:
        await (await asyncpg.connect(url, timeout=5)).close()
    except (OSError, asyncpg.PostgresError) as error:
        named = "WAYPOST_TEST_POSTGRES_URL" in os.environ
        if named or os.environ.get("CI"):
            pytest.fail(f"PostgreSQL at {url} does not answer: {error}")
        pytest.skip("no PostgreSQL: set WAYPOST_TEST_POSTGRES_URL to run this on it")
    return url


@pytest.fixture(scope="session")
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """A database of this session's own."""
    name = f"waypost_test_{os.getpid()}"
    server = await asyncpg.connect(postgres_server)
    await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await server.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.rpartition("/")[0] + f"/{name}"
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on each."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        yield request.getfixturevalue("postgres_url")


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    """An empty ledger on each database."""
    opened = open_ledger(with_async_driver(database))
    await opened.upgrade()
    if opened.is_postgres:
        tables = ", ".join(metadata.tables)
        await opened.write(lambda connection: connection.execute(sa.text(f"TRUNCATE {tables} CASCADE")))
    yield opened
    await opened.close()
