"""The embedded Prefect server: one process on SQLite, tuned so that it keeps up.

Run as a module, this file is that process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from waypost.config.settings import sqlite_url
from waypost.deployments.processes import prefect_schema
from waypost.system import child_process
from waypost.system.process import freeze_gc

FILE = "prefect.db"
FORMER = "prefect:memory:.db"  # its name up to version 0.1.0
BESIDE_IT = ("-wal", "-shm")  # SQLite's files of a database that was not closed

# The user's settings that are for a server. The others are for its clients, or lead to another server.
FOR_A_SERVER = (
    "PREFECT_SERVER_",
    "PREFECT_UI_",
    "PREFECT_LOGGING_",
    "PREFECT_API_DATABASE_",
    "PREFECT_API_LOG_",
)


def database_url(home: Path) -> str:
    """The SQLAlchemy URL of the database in which the server keeps its runs."""
    return sqlite_url(home / FILE, "sqlite+aiosqlite")


def rename_former(home: Path) -> None:
    """Rename the database file of an earlier version. Call this while no server runs.

    The database file itself comes last: after a crash in between, the next start does the rest.
    """
    if (home / FILE).exists() or not (home / FORMER).exists():
        return
    for ending in (*BESIDE_IT, ""):
        former = home / f"{FORMER}{ending}"
        if former.exists():
            former.rename(home / f"{FILE}{ending}")


def environment(home: Path, host: str, port: int) -> dict[str, str]:
    """The environment of the embedded server: its own home, tuned recording, no analytics, and the user's
    own settings for a Prefect server, which take precedence over the tuning."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    chosen = {name: value for name, value in os.environ.items() if name.startswith(FOR_A_SERVER)}
    return {
        **kept,
        **_tuned(home),
        "PREFECT_UI_API_URL": f"http://{host}:{port}/api",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{host}:{port},http://localhost:{port}",
        **chosen,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),
    }


def _tuned(home: Path) -> dict[str, str]:
    return {
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Rows are written in groups: writing them one at a time stalls SQLite.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        # One run leaves about 80 kB; Prefect keeps runs forever unless it is set to clean up.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
    }


@asynccontextmanager
async def running(home: Path, host: str, port: int) -> AsyncGenerator[str]:
    """Start the server, wait until it answers, yield its API URL, and stop it afterwards.

    Raises waypost.system.child_process.ChildFailed.
    """
    async with starting(home, host, port) as (api, answers):
        await answers()
        yield api


@asynccontextmanager
async def starting(home: Path, host: str, port: int) -> AsyncGenerator[tuple[str, child_process.Answers]]:
    """Start the server, yield its API URL and a function that waits until it answers, and stop the server
    afterwards. The function raises waypost.system.child_process.ChildFailed."""
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    rename_former(home)
    environ = environment(home, host, port)
    if environ["PREFECT_API_DATABASE_CONNECTION_URL"] == database_url(home):
        prefect_schema.lay(home / FILE)
    api = f"http://{host}:{port}/api"
    program = child_process.Program(
        "Prefect server",
        "waypost.deployments.processes.prefect_server",
        [host, str(port)],
        environ,
        ready=f"{api}/health",
        log=home / "prefect-server.log",
    )
    async with child_process.starting(program) as answers:
        yield api, answers


def main() -> None:
    """Serve until SIGTERM or the parent's end."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.server.database.dependencies import temporary_database_config
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, get_current_settings

    from waypost.deployments.processes.prefect_database import OneWriter
    from waypost.deployments.processes.prefect_origins import guarded

    host, port = sys.argv[1], int(sys.argv[2])
    child_process.stop_with_parent()
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    origins = get_current_settings().server.api.cors_allowed_origins.split(",")
    with temporary_database_config(OneWriter(url) if url.startswith("sqlite") else None):
        app = guarded(create_app(), host, origins)
        freeze_gc()
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
