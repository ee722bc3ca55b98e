"""PostgreSQL databases that last as long as a measurement."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from benchmarks.harness.figures import NotMeasured

_NUMBERS = count(1)
HERE = "postgresql://postgres@127.0.0.1:5432/postgres"


@asynccontextmanager
async def fresh(*names: str) -> AsyncGenerator[list[str]]:
    """An empty database per name; yields their URLs. WAYPOST_TEST_POSTGRES_URL names the server.

    Raises NotMeasured when the server does not answer.
    """
    url = os.environ.get("WAYPOST_TEST_POSTGRES_URL", HERE)
    try:
        server = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise NotMeasured(
            f"PostgreSQL does not answer ({error}); WAYPOST_TEST_POSTGRES_URL names one"
        ) from None
    databases = [f"waypost_bench_{os.getpid()}_{next(_NUMBERS)}_{name}" for name in names]
    try:
        for database in databases:
            await server.execute(f'CREATE DATABASE "{database}"')
        yield [f"{url.rpartition('/')[0]}/{database}" for database in databases]
    finally:
        for database in databases:
            await server.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        await server.close()
