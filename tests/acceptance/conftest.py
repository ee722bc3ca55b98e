"""Servers that the tests of this folder share: one `waypost up`, and a Prefect server and a PostgreSQL
cluster without one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from chaos import postgres
from chaos.servers import PrefectServer, prefect_server
from support.processes import Up, start


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `waypost up` of every type, for tests that do not stop it."""
    started = start(tmp_path_factory.mktemp("acceptance") / "home", WAYPOST_SHIPPED_TYPES="all")
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server for workers of other work pools."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """PostgreSQL that tests may restart. Without it CI fails; elsewhere the tests are skipped."""
    if lacking := postgres.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
    with postgres.cluster() as started:
        yield started
