"""Makes a project of a team's own in an empty folder, from the files in skeleton/."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

SKELETON = Path(__file__).parent / "skeleton"
SUFFIX = ".tmpl"  # so that no tool takes a file of the skeleton for one of Waypost's own
MAY_BE_THERE = {".git", ".venv"}
OWNER_ALONE, EVERYBODY_READS, FOLDER = 0o600, 0o644, 0o755


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
    return [_write(source, folder, values) for source in _sources()]


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


def _sources() -> Iterator[Path]:
    return (path for path in sorted(SKELETON.rglob(f"*{SUFFIX}")))


def _write(source: Path, folder: Path, values: dict[str, str]) -> Path:
    path = source.relative_to(SKELETON).with_suffix("")
    text = source.read_text(encoding="utf-8")
    is_secret = path.name == ".env"
    for name, value in values.items():
        text = text.replace(name, value)
    _make_folder(folder, path.parent)
    (folder / path).touch(OWNER_ALONE)
    (folder / path).write_text(text, encoding="utf-8")
    (folder / path).chmod(OWNER_ALONE if is_secret else EVERYBODY_READS)
    return path


def _make_folder(project: Path, path: Path) -> None:
    """Make a folder that a container's user can read: commands make private ones."""
    for folder in (project, *(project / part for part in reversed((path, *path.parents)))):
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(FOLDER)
