"""`make setup` under habits: an environment made and activated before, or one that is broken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
BASE = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
NEEDED = {"hatchling", "editables", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}


@pytest.fixture
def checkout(tmp_path):
    """The checkout, with a lock that holds what installing Waypost itself needs."""
    folder = tmp_path / "waypost"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not name.startswith("tests/"):
            shutil.copy(ROOT / name, target, follow_symlinks=False)
    locked = re.findall(r"^\S.*(?:\n .*)*", (folder / "requirements.lock").read_text(), re.MULTILINE)
    kept = [one for one in locked if one.partition("==")[0] in NEEDED]
    (folder / "requirements.lock").write_text("\n".join(kept) + "\n")
    return folder


def make(folder, first_on_path=None, **more):
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS")}
    path = os.pathsep.join(
        filter(None, (first_on_path and str(first_on_path), str(BASE.parent), kept["PATH"]))
    )
    return subprocess.run(
        ["make", "setup", *(f"{name}={value}" for name, value in more.items())],
        cwd=folder, env={**kept, "PATH": path}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip


def finds_waypost(folder):
    found = "from importlib.util import find_spec; print(find_spec('waypost').origin)"
    done = subprocess.run(
        [folder / ".venv/bin/python", "-I", "-c", found], cwd="/", capture_output=True, text=True
    )
    return done.stdout.startswith(str(folder))


def test_an_environment_made_and_activated_before_is_used_and_not_emptied(checkout):
    """What most people do first: `python3 -m venv .venv`, activate it, then `make`."""
    subprocess.run([BASE, "-m", "venv", ".venv"], cwd=checkout, check=True)
    (checkout / ".venv/mine").write_text("kept")
    done = make(checkout, first_on_path=checkout / ".venv/bin")
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv/mine").read_text() == "kept"
    assert finds_waypost(checkout)


def test_an_environment_of_setup_that_is_active_survives_a_new_lock(checkout):
    assert make(checkout).returncode == 0
    (checkout / ".venv/.ready").unlink()
    done = make(checkout, first_on_path=checkout / ".venv/bin")
    assert done.returncode == 0, done.stderr
    assert finds_waypost(checkout)


def test_an_environment_that_cannot_be_used_is_named_and_left(checkout):
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = make(checkout)
    assert done.returncode != 0
    assert "remove it (rm -r .venv)" in done.stderr
    assert python.exists()


def test_a_python_that_is_too_old_is_named(checkout):
    old = checkout / "python3.9"
    old.write_text('#!/bin/sh\necho "setup: Waypost needs Python 3.11 or newer" >&2\nexit 1\n')
    old.chmod(0o755)
    assert make(checkout, PYTHON=old).returncode != 0
    assert not (checkout / ".venv").exists()
