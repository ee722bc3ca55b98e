"""Wheels built from this tree, installed into virtual environments as pip installs them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from support.processes import REPOSITORY


def built(folder: Path, source: Path = REPOSITORY, kind: str = "wheel") -> Path:
    """The wheel or sdist of a project, built into `folder`."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    [made] = folder.iterdir()
    return made


def environment_with(folder: Path, wheel: Path) -> Path:
    """A virtual environment with the wheel, and this environment's other packages; returns its python.

    Waypost's checkout, which this environment may have by a .pth file, is not importable there.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install(python, "--no-deps", str(wheel))
    packages = site_packages(folder)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python


def install(python: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    done = subprocess.run(
        [*pip, "install", "--quiet", *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def site_packages(environment: Path) -> Path:
    [found] = environment.glob("lib/python*/site-packages")
    return found
