"""The templates of a folder, or of a git revision of the project."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from waypost.cli.asking import Refused
from waypost.config.settings import Settings
from waypost.rendering.live_templates import Templates


@contextmanager
def templates_of(name: str, settings: Settings) -> Generator[Templates]:
    """The templates of a folder or of a revision, with the shipped after them as the project has them. Raises
    Refused."""
    shipped, own = settings.template_folders[-1], settings.project / settings.templates
    rest = () if own.is_dir() and own.samefile(shipped) else (shipped,)
    if Path(name).is_dir():
        yield Templates((Path(name), *rest), settings.default_locale)
        return
    with TemporaryDirectory(prefix="waypost-templates-") as home:
        folder = _checked_out(name, settings, Path(home))
        yield Templates((folder, *rest), settings.default_locale)


def _checked_out(name: str, settings: Settings, home: Path) -> Path:
    """The templates folder of a revision, written below `home`. Raises Refused."""
    if settings.templates.is_absolute():
        raise Refused(f"{name} is no folder, and WAYPOST_TEMPLATES is not a path in the project's repository")
    revision = f"{name}^{{commit}}"
    commit = _git(settings, "rev-parse", "--verify", "--quiet", "--end-of-options", revision)
    if commit is None:
        raise Refused(f"{name} is neither a folder nor a git revision of {settings.project}")
    hash, folder = commit.decode().strip(), settings.templates.as_posix()
    packed = _git(settings, "archive", "--format=tar", hash, "--", folder)
    if packed is None:
        raise Refused(f"the git revision {name} has no {folder}/")
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(home, filter="data")
    return home / settings.templates


def _git(settings: Settings, *arguments: str) -> bytes | None:
    """What git prints; None if it fails. Raises Refused without git."""
    git = shutil.which("git")
    if git is None:
        raise Refused("git is not installed; name two folders instead")
    done = subprocess.run([git, *arguments], cwd=settings.project, capture_output=True, check=False)  # noqa: S603
    return None if done.returncode else done.stdout
