"""Unit tests are pure: no server, no database, and the same examples every time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.project import Project, project_in

from waypost.config.settings import Settings, prepare_home

settings.register_profile("unit", deadline=None, max_examples=80, database=None, derandomize=True)
settings.load_profile("unit")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project folder without files."""
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made


@pytest.fixture
def few_types(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project uses few of the shipped types: to check the templates of all takes seconds."""
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", "alert,order-confirmation")
    project.look_again()


@pytest.fixture
def home(empty_ledger: Path) -> None:
    """The test's home has an empty ledger, as after `waypost db upgrade`."""
    prepare_home(Settings())
    shutil.copy(empty_ledger, Settings().home / "ledger.db")
