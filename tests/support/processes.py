"""`waypost up` as a user starts it, and the commands beside it: real processes, real files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from support import forks
from waypost.config import instance

REPOSITORY = Path(__file__).parents[2]
Run = subprocess.CompletedProcess[str]
# The types of most tests. Each start, deployment and doctor examines every type, and all take a second more;
# a test about every type asks for `all`.
FEW_TYPES = "alert,digest,message,order-confirmation,signup-verification"


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without settings of Waypost or Prefect, except the home, the types and
    `more`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WAYPOST_", "PREFECT_"))}
    return {
        **kept,
        "WAYPOST_HOME": str(home),
        "WAYPOST_SHIPPED_TYPES": FEW_TYPES,
        "COLUMNS": "200",
        "PREFECT_API_LOG_RETRYABLE_ERRORS": "true",
        **more,
    }


def command(*arguments: str, python: str = sys.executable) -> list[str]:
    return [python, "-m", "waypost", *arguments]


def waypost(home: Path, *arguments: str, **more: str) -> Run:
    """Run one command to its end."""
    return forks.run(command(*arguments), 120, env=environment(home, **more), cwd=home.parent)


@dataclass
class Up:
    """A running `waypost up`."""

    home: Path
    process: subprocess.Popen[bytes]
    here: instance.Instance

    def run(self, *arguments: str, **more: str) -> Run:
        return waypost(self.home, *arguments, **more)

    def send(self, type: str, *requests: dict[str, Any], file: Path | None = None) -> tuple[Run, Any]:
        """`waypost send --json`, and what it printed."""
        if file is None:
            file = self.home / f"{time.monotonic_ns()}.jsonl"
            file.write_text("".join(json.dumps(request) + "\n" for request in requests))
        done = self.run("send", type, "--from", str(file), "--json")
        return done, json.loads(done.stdout) if done.stdout else done.stderr

    @property
    def submission(self) -> str:
        """The address of its SMTP submission, from its log."""
        log = (self.home / "up.log").read_text()
        return re.findall(r"mail is submitted at smtp://(\S+)", log)[-1]

    @property
    def folder(self) -> Path:
        assert self.here.mailbox
        return self.here.mailbox.folder

    def mails(self, to: str | None = None) -> list[EmailMessage]:
        """The mails in the development mailbox, oldest first."""
        kept = [
            message_from_bytes(p.read_bytes(), policy=policy.default)
            for p in sorted(self.folder.glob("*.eml"))
        ]
        return [mail for mail in kept if to is None or to in str(mail["To"])]

    def trigger(self, type: str, **parameters: Any) -> httpx.Response:
        """Create a run with plain HTTP to the Prefect API, as any client may."""
        one = httpx.get(f"{self.here.api}/deployments/name/{type}/{type}").raise_for_status().json()
        url = f"{self.here.api}/deployments/{one['id']}/create_flow_run"
        return httpx.post(url, json={"parameters": parameters}, timeout=30)

    def finished(self, created: httpx.Response) -> dict[str, Any]:
        """The run once it has ended."""
        run = created.raise_for_status().json()
        return eventually(lambda: self._ended(run["id"]))

    def _ended(self, id: str) -> dict[str, Any] | None:
        run = httpx.get(f"{self.here.api}/flow_runs/{id}", timeout=30).json()
        return run if run["state"]["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The result of `look`, once it is true. Raises AssertionError after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def start(home: Path, python: str = sys.executable, **more: str) -> Up:
    """Start `waypost up` on free ports, and wait until it is up. python: the interpreter that runs it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.log").open("ab") as log:
        process = forks.Forked(
            command(
                "up",
                *(f"--{name}port=0" for name in ("", "smtp-", "texts-", "gateway-", "submission-")),
                python=python,
            ),
            env=environment(home, **more),
            cwd=home.parent,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def up() -> instance.Instance | None:
        assert process.poll() is None, (home / "up.log").read_text()
        found = instance.find(home)
        return found if found and found.pid == process.pid else None

    return Up(home, process, eventually(up, 120))
