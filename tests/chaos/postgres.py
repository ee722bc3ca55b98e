"""A PostgreSQL cluster of our own, which a test may restart as often as it likes."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from socket import socket
from typing import Any

import asyncpg

HOST = "127.0.0.1"
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_numbers = count(1)


def missing() -> str:
    """Why there can be no cluster; empty if there can be one."""
    return "" if _found("initdb") and _found("pg_ctl") else "PostgreSQL's initdb and pg_ctl are not installed"


class Cluster:
    """A cluster with databases by URL; it keeps its port however often it is started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        with socket() as probe:
            probe.bind((HOST, 0))
            self._port: int = probe.getsockname()[1]

    def create(self) -> None:
        """Create its files, owned by the user that runs the server."""
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        _run(
            "initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "--no-instructions", "--no-sync"
        )

    def start(self) -> None:
        # Only the server dies here, never the machine: what the kernel has is not lost.
        chosen = {"listen_addresses": HOST, "unix_socket_directories": self._folder, "fsync": "off"}
        options = f"-p {self._port} " + " ".join(f"-c {name}={value}" for name, value in chosen.items())
        self._control("start", "-l", str(self._folder / "server.log"), "-o", options)

    def restart(self, mode: str = "fast") -> None:
        """Stop the server and start it. fast: sessions are cut off; immediate: as after a crash."""
        self.stop(mode)
        self.start()

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    def _control(self, *arguments: str) -> None:
        _run("pg_ctl", "-w", "-t", "60", "-D", str(self._data), *arguments)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"ledger_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def execute(self, *statements: str) -> None:
        """Run the statements as the superuser, outside every ledger."""

        async def work() -> Any:
            connection = await asyncpg.connect(self._url("postgres"))
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        asyncio.run(work())

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@{HOST}:{self._port}/{database}"


@contextmanager
def cluster() -> Generator[Cluster]:
    """A cluster that runs as long as the block. Its folder is not below one that only we may enter."""
    folder = Path(tempfile.mkdtemp(prefix="waypost-postgres-"))
    made = Cluster(folder)
    try:
        made.create()
        made.start()
        yield made
        made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *arguments: str) -> None:
    found = _found(program)
    assert found, missing()
    done = subprocess.run(
        [*_as_postgres(), found, *arguments],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the server would keep a pipe open forever
        stderr=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{program} {' '.join(arguments)} failed"


def _found(program: str) -> str | None:
    folders = os.pathsep.join([*map(str, INSTALLED), os.environ.get("PATH", "")])
    return shutil.which(program, path=folders)


def _as_postgres() -> list[str]:
    """The command's prefix for root, whom PostgreSQL refuses as its user."""
    if os.geteuid() != 0:
        return []
    pwd.getpwnam("postgres")
    return ["runuser", "-u", "postgres", "--"]
