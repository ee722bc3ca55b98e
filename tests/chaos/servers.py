"""The servers around Waypost: processes that a test may stop and start, and whose data it may delete."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from socket import socket
from typing import Any

import httpx
from support.forks import Forked
from support.processes import REPOSITORY, environment, eventually

from waypost.deployments.processes import prefect_schema
from waypost.deployments.processes.prefect_server import FILE
from waypost.deployments.processes.prefect_server import environment as server_environment

HOST = "127.0.0.1"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def launch(
    command: list[str], env: Mapping[str, str], log: Path, cwd: Path = REPOSITORY / "tests"
) -> subprocess.Popen[bytes]:
    """Start a module; it ends with us if it watches its standard input."""
    with log.open("ab") as output:
        return Forked(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, and kill -9 if the process has not ended in 30 s."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class PrefectServer:
    """The embedded Prefect server; it keeps its port and home however often it is started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.api = f"http://{HOST}:{self.port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.home / "prefect").mkdir(parents=True, exist_ok=True)
        prefect_schema.lay(self.home / FILE)
        command = [sys.executable, "-m", "waypost.deployments.processes.prefect_server", HOST, str(self.port)]
        env = server_environment(self.home, HOST, self.port)
        self._process = launch(command, env, self.home / "prefect-server.log")
        eventually(self.answers, 240)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Stop it; its data stays."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def lose_database(self) -> None:
        """Delete its data."""
        for file in self.home.glob("*.db*"):
            if file.name.startswith("prefect"):
                file.unlink()

    def knows(self, type: str) -> bool:
        """Whether it has a deployment of the type."""
        return httpx.get(f"{self.api}/deployments/name/{type}/{type}", timeout=30).is_success

    def run(self, id: Any) -> dict[str, Any]:
        return httpx.get(f"{self.api}/flow_runs/{id}", timeout=30).raise_for_status().json()

    def runs(self, *tags: str, name: str = "", pool: str = "") -> list[dict[str, Any]]:
        """The latest 200 runs with all of the tags, with `name` in their name, of the work pool."""
        chosen: dict[str, Any] = {"tags": {"all_": list(tags)}} if tags else {}
        if name:
            chosen["name"] = {"like_": name}
        wanted: dict[str, Any] = {"flow_runs": chosen, "sort": "START_TIME_DESC"}
        if pool:
            wanted["work_pools"] = {"name": {"any_": [pool]}}
        return httpx.post(f"{self.api}/flow_runs/filter", json=wanted, timeout=30).raise_for_status().json()

    def ask_for(self, type: str, requests: list[dict[str, Any]]) -> str:
        """Create a run that brings its own requests, as any client may; returns its id."""
        found = httpx.get(f"{self.api}/deployments/name/{type}/{type}", timeout=30).raise_for_status().json()
        url = f"{self.api}/deployments/{found['id']}/create_flow_run"
        asked = httpx.post(url, json={"parameters": {"requests": requests}}, timeout=30)
        return asked.raise_for_status().json()["id"]

    def set_state(self, id: Any, type: str) -> None:
        """Set a run's state, as a button in the UI does."""
        url = f"{self.api}/flow_runs/{id}/set_state"
        httpx.post(url, json={"state": {"type": type}}, timeout=30).raise_for_status()


@contextmanager
def prefect_server(home: Path) -> Generator[PrefectServer]:
    """A server that runs as long as the block."""
    server = PrefectServer(home)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Sink:
    """The mail server of sink.py, and its log."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log
        self._read = 0
        self._notes: list[tuple[float, str, str]] = []
        self._counted: dict[str, tuple[int, int]] = {}  # by start of address: notes read, and matches

    def url(self, connections: int = 8) -> str:
        return f"smtp://{HOST}:{self._port}?connections={connections}"

    def refuse(self, on: bool) -> None:
        """Whether recipients whose address contains `refused` are refused from now on."""
        flag = self._log.with_suffix(".refusing")
        flag.touch() if on else flag.unlink()

    def notes(self) -> list[tuple[float, str, str]]:
        """The time, the recipient and the notification (its id in hexadecimal) of each mail, oldest first."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            at, to, message_id = line.split(" ")
            self._notes.append((float(at), to, message_id.lstrip("<").partition("@")[0]))
        return self._notes

    def to(self, start: str) -> int:
        """The number of mails to addresses that begin with `start`."""
        notes = self.notes()
        checked, found = self._counted.get(start, (0, 0))
        found += sum(note[1].startswith(start) for note in islice(notes, checked, None))
        self._counted[start] = (len(notes), found)
        return found

    def copies(self, start: str = "") -> Counter[str]:
        """How often each notification came, among those to addresses that begin with `start`."""
        return Counter(id for _, to, id in self.notes() if to.startswith(start))


@contextmanager
def mail_sink(folder: Path, seconds: float = 0.0, port: int = 0) -> Generator[Sink]:
    """A sink that takes each mail, and responds `seconds` later. port: 0 for a free one."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "mails.log"
    log.touch()
    process = Forked(
        [sys.executable, "-m", "chaos.sink", str(log), str(seconds), str(port)],
        env=environment(folder),
        cwd=REPOSITORY / "tests",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield Sink(int(process.stdout.readline()), log)
    finally:
        end(process)
