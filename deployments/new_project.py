"""Makes a project of a team's own in an empty folder: the files in skeleton/, and a type."""

from __future__ import annotations

import secrets
from importlib.metadata import version
from pathlib import Path

from waypost.deployments.skeleton_files import files_of_a_project, files_of_a_type, write

TYPE = "parcel-shipped"  # of skeleton/README.md, prefect.yaml and parcels.jsonl
MAY_BE_THERE = {".git", ".venv"}


class NotEmpty(RuntimeError):
    """A project is made in an empty folder only. Says what is in the way."""


def make(folder: Path) -> list[Path]:
    """Write the project's files; returns their paths in `folder`, which is made if missing.

    Raises NotEmpty, and OSError for a folder that cannot be written to.
    """
    _check(folder)
    values = {
        "{{ version }}": version("waypost"),
        "{{ secret key }}": secrets.token_urlsafe(48),
        "{{ password }}": secrets.token_urlsafe(24),
    }
    files = [*files_of_a_project(values), *files_of_a_type(TYPE)]
    return write(folder, sorted(files, key=lambda file: file.path))


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotEmpty(f"{folder} is a file: name an empty folder for the project")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if in_the_way := [name for name in there if name not in MAY_BE_THERE]:
        more = f" and {len(in_the_way) - 1} more" if len(in_the_way) > 1 else ""
        raise NotEmpty(
            f"{folder.absolute()} is not empty (it has {in_the_way[0]}{more}): name an empty folder for the "
            "project"
        )
