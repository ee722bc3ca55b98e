"""A project folder of a test's own, and what the registry finds in it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from waypost.deployments import registry

LIKE_ALERT = """\
from dataclasses import replace
from waypost.flows.alert import TYPE as ALERT
from prefect import flow
"""
FLOW = "@flow(name=TYPE.name)\nasync def mine(): ...\n"


class Project:
    """folder: the project's. Each `write` makes the registry look again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **files: str) -> None:
        """Write files into flows/, named without `.py`."""
        flows = self.folder / "flows"
        flows.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (flows / f"{name}.py").write_text(text)
        self.look_again()

    def template(self, path: str, text: str) -> None:
        """Write a file into templates/."""
        file = self.folder / "templates" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def look_again(self) -> None:
        importlib.invalidate_caches()
        registry._found.cache_clear()


@contextmanager
def project_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Make `folder` the project of this process for the length of the block."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("WAYPOST_PROJECT", str(folder))
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = dict(sys.modules)
    made = Project(folder)
    made.look_again()
    yield made
    made.look_again()
    for name in set(sys.modules) - known.keys():
        if name.partition(".")[0] in ("flows", "tasks", "deployments"):
            del sys.modules[name]
