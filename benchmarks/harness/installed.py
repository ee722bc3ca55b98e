"""Packages of the peers, installed once from their lock files, into the user's cache or BENCH_CACHE.

They share nothing with Waypost's own environment.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import platformdirs

from benchmarks.harness.figures import NotMeasured
from benchmarks.harness.processes import ROOT, run_to_end
from benchmarks.harness.progress import say


async def node_modules(peer: Path) -> Path:
    """The modules that package-lock.json of the folder `peer` names, for NODE_PATH. Raises NotMeasured."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise NotMeasured("the peer needs node and npm")
    return await _cached(peer / "package-lock.json", _npm) / "node_modules"


async def python(peer: Path) -> Path:
    """A Python with what requirements.lock of the folder `peer` names. Raises NotMeasured."""
    return await _cached(peer / "requirements.lock", _pip) / "bin" / "python"


async def _npm(folder: Path) -> None:
    command = ["npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
    await run_to_end(command, os.environ)


async def _pip(folder: Path) -> None:
    await run_to_end([sys.executable, "-m", "venv", "--without-pip", str(folder)], os.environ)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(folder / "bin" / "python"),
    ]
    lock = str(folder / "requirements.lock")
    await run_to_end([*pip, "install", "--quiet", "--require-hashes", "-r", lock], os.environ)


async def _cached(lock: Path, install: Callable[[Path], Awaitable[None]]) -> Path:
    """A folder in which `install` has run with the lock. Another lock or Python has another folder."""
    version = sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_path("waypost-benchmarks"))
    folder = cache / f"{lock.parent.name}-{version}"
    if not folder.exists():
        say(f"installing {lock.relative_to(ROOT)}; this takes up to a minute")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            new = Path(made) / lock.parent.name
            new.mkdir()
            for file in (lock, *lock.parent.glob("package.json")):
                shutil.copy(file, new)
            await install(new)
            if not folder.exists():  # another run may have made it meanwhile
                new.rename(folder)
    return folder
