"""Unit tests are pure: no server, no database, and the same examples every time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.project import Project, project_in

settings.register_profile("unit", deadline=None, max_examples=80, database=None, derandomize=True)
settings.load_profile("unit")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project folder without files."""
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made
