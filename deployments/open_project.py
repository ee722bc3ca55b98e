"""The step with which a Prefect worker of another type opens the project before it loads a flow.

Such a worker starts a process for each run, in a folder of its own. The resident worker takes no such step.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from waypost.config import environment
from waypost.config.settings import Settings
from waypost.deployments import type_files

FOLDERS = (type_files.PACKAGE, "templates")


def steps(project: Path) -> list[dict[str, Any]]:
    """The pull steps of a deployment: none if the project has neither types nor templates of its own."""
    if type_files.is_checkout(project) or not _is_project(project):
        return []
    return [{f"{__name__}.{open_project.__name__}": {"folder": str(project)}}]


def open_project(folder: str) -> dict[str, str]:
    """Make the project this process's current folder, and take its settings.

    The project is WAYPOST_PROJECT, else the current folder if it is a project, else `folder`, where the
    project was deployed from. Raises ValueError if that is not there.
    """
    here = Path.cwd()
    found = os.environ.get("WAYPOST_PROJECT") or (str(here) if _is_project(here) else folder)
    if not Path(found).is_dir():
        raise ValueError(f"the project is not in {found} on this machine: set WAYPOST_PROJECT for the worker")
    os.environ["WAYPOST_PROJECT"] = found
    environment.read_file(Path(found))
    with suppress(type_files.CannotLoad):  # the shipped types run all the same
        type_files.own_files(Settings().project)
    return {"directory": found}


def _is_project(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in FOLDERS)
