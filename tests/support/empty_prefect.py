"""An empty Prefect database to be copied: its migrations take three seconds of the processor.

Run as a module, this writes deployments/processes/prefect_schema.sql anew, after an upgrade of Prefect.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from support import forks
from waypost.deployments.processes.prefect_schema import SCHEMA, heading
from waypost.deployments.processes.prefect_server import FILE, FORMER, database_url

KEPT = Path(__file__).parents[2] / ".pytest_cache" / f"prefect-{version('prefect')}"


def copied_to(home: Path) -> None:
    """Give a Prefect server that starts in `home` the tables that its first start would make."""
    if not (home / FILE).exists() and not (home / FORMER).exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(_empty(), home / FILE)


def _empty() -> Path:
    """The file, which one process of the tests makes, and each later run of them finds."""
    KEPT.mkdir(parents=True, exist_ok=True)
    made = KEPT / FILE
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(KEPT / "making")
            (KEPT / "making" / FILE).rename(made)
    return made


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    own = {"PREFECT_HOME": str(folder), "PREFECT_API_DATABASE_CONNECTION_URL": database_url(folder)}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    done = forks.run(command, 120, env={**kept, **own}, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def dump(file: Path) -> str:
    """The statements that make a database like `file`."""
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump())


if __name__ == "__main__":
    SCHEMA.write_text(f"{heading(version('prefect'))}\n{dump(_empty())}\n", "utf-8")
