"""The tables that a first start lays are those that Prefect's own migrations make."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib.metadata import version

import pytest
from support import empty_prefect

from waypost.deployments.processes import prefect_schema

WRITE_ANEW = "run `PYTHONPATH=tests .venv/bin/python -m support.empty_prefect`, and commit prefect_schema.sql"


def test_what_is_laid_is_what_prefect_makes(tmp_path):
    ours = tmp_path / "ours.db"
    (tmp_path / "theirs").mkdir()
    theirs = empty_prefect.made_in(tmp_path / "theirs")
    prefect_schema.lay(ours)
    assert ours.exists(), WRITE_ANEW
    assert _statements(ours) == _statements(theirs), WRITE_ANEW


def test_tables_of_another_version_are_not_laid(tmp_path, monkeypatch):
    monkeypatch.setattr(prefect_schema, "version", lambda name: f"{version(name)}.1")
    prefect_schema.lay(tmp_path / "prefect.db")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_there_stays(tmp_path):
    file = tmp_path / "prefect.db"
    file.write_bytes(b"what a person put there")
    prefect_schema.lay(file)
    assert file.read_bytes() == b"what a person put there"


@pytest.mark.parametrize("left", [b"", b"half"])
def test_what_a_killed_start_left_is_made_anew(tmp_path, left):
    (tmp_path / "prefect.db.making").write_bytes(left)
    prefect_schema.lay(tmp_path / "prefect.db")
    assert [one.name for one in tmp_path.iterdir()] == ["prefect.db"]
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as connection:
        assert connection.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)


def _statements(file) -> list[list[str]]:
    """Each statement as its lines in order of the alphabet: Prefect's migrations write the constraints of a
    table in any order."""
    return sorted(
        sorted(re.sub(r",\s*$", "", line).strip() for line in one.splitlines() if line.strip())
        for one in empty_prefect.dump(file).split(";\n")
    )
