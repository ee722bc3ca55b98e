"""The embedded Prefect server: one process on SQLite, tuned so that it keeps up.

Run as a module it is that process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from waypost import child
from waypost.process import settle_in


def database_url(home: Path) -> str:
    """A lasting file that Prefect serves over exactly one connection.

    Prefect gives that pool to every SQLite URL whose text contains `:memory:`, a real file's too.
    With its stock pool writers collide, requests are answered 503 after 20 ms ("database is
    locked") and the client sleeps 2 s; with one connection there is no lock to lose. A test sends a
    burst and fails on any 503, should this ever change.
    """
    return f"sqlite+aiosqlite:///{home / 'prefect:memory:.db'}"


def environment(home: Path, host: str, port: int) -> dict[str, str]:
    """The environment of the embedded server: its own home, tuned recording, nothing phoned home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **kept,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url(home),
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"http://{host}:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Rows are written in groups: one at a time is what stalls SQLite.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        # One run leaves some 80 kB; Prefect keeps runs for ever unless told to clean up.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
    }


@asynccontextmanager
async def running(home: Path, host: str, port: int) -> AsyncGenerator[str]:
    """Start the server, wait until it answers, yield its API URL, and stop it afterwards.

    Raises waypost.child.ChildFailed.
    """
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    api = f"http://{host}:{port}/api"
    async with child.running(
        "Prefect server",
        "deployments.embedded",
        [host, str(port)],
        environment(home, host, port),
        ready=f"{api}/health",
        log=home / "prefect-server.log",
    ):
        yield api


def main() -> None:
    """Serve until SIGTERM or the parent's end."""
    import uvicorn
    from prefect.server.api.server import create_app

    host, port = sys.argv[1], int(sys.argv[2])
    child.stop_with_parent()
    app = create_app()
    settle_in()
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
