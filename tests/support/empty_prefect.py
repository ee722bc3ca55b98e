"""The database that Prefect's own migrations make of an empty file: they take three seconds of the processor.

Run as a module, this writes deployments/processes/prefect_schema.sql anew, after an upgrade of Prefect.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from support import forks
from waypost.deployments.processes.prefect_schema import SCHEMA, heading
from waypost.deployments.processes.prefect_server import FILE, database_url


def made_in(folder: Path) -> Path:
    """The database, which Prefect's command makes in an empty folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    own = {"PREFECT_HOME": str(folder), "PREFECT_API_DATABASE_CONNECTION_URL": database_url(folder)}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    done = forks.run(command, 120, env={**kept, **own}, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / FILE


def dump(file: Path) -> str:
    """The statements that make a database like `file`."""
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        SCHEMA.write_text(f"{heading(version('prefect'))}\n{dump(made_in(Path(made)))}\n", "utf-8")
