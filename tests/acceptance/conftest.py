"""One `waypost up` for the tests that leave it standing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from processes import Up, start


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    started = start(tmp_path_factory.mktemp("acceptance") / "home")
    yield started
    assert started.stop() == 0
