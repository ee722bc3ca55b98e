"""A page of a Chromium without a window, driven by its own protocol (Chrome DevTools Protocol)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from waypost.system import child_process

PROGRAMS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)  # fmt: skip
FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-port=0",
)  # fmt: skip
STARTS_WITHIN, ANSWERS_WITHIN = 60.0, 60.0  # seconds
_LISTENING = re.compile(r"listening on (ws://\S+)")


class NoBrowser(RuntimeError):
    """There is no Chromium, or it does not start or answer. Says what to do."""


def program() -> str:
    """The Chromium, Chrome or Edge of this machine. Raises NoBrowser."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowser(
            "there is no Chromium on this machine: install Chromium or Google Chrome, so that `chromium` or "
            "`google-chrome` is in PATH"
        )
    return found


class Page:
    """One page of a browser."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._number = 0

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol. Raises NoBrowser."""
        self._number += 1
        until = time.monotonic() + ANSWERS_WITHIN
        try:
            self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
            while (told := self._told(until)).get("id") != self._number:
                pass  # an event
        except (TimeoutError, OSError, WebSocketException) as error:
            raise NoBrowser(
                f"Chromium stopped or does not answer ({type(error).__name__}): try again"
            ) from None
        if "error" in told:
            raise NoBrowser(f"Chromium refuses {method}: {told['error'].get('message')}")
        return told["result"]

    def _told(self, until: float) -> dict[str, Any]:
        """The next answer or event. Raises TimeoutError at `until`, however many events come."""
        if (left := until - time.monotonic()) <= 0:
            raise TimeoutError
        return json.loads(self._socket.recv(timeout=left))


@contextmanager
def open_page() -> Generator[Page]:
    """A page of a new Chromium with a profile of its own, both gone after the block. Raises NoBrowser."""
    with tempfile.TemporaryDirectory(prefix="waypost-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        # Chromium does not start for root with its sandbox.
        sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        command = [program(), *FLAGS, *sandbox, f"--user-data-dir={folder}/profile", "about:blank"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603
        try:
            with _connected(_address(process, log)) as page:
                yield page
        finally:
            child_process.end(process)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the browser listens, which it writes when it is ready."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        ended = process.poll() is not None
        if found := _LISTENING.search(log.read_text(errors="replace")):
            return found[1]
        if ended:
            said = (log.read_text(errors="replace").strip().splitlines() or ["it says nothing"])[-1][:300]
            raise NoBrowser(f"Chromium does not start: {said}")
        time.sleep(0.05)
    raise NoBrowser(f"Chromium did not start within {STARTS_WITHIN:g} s: try again")


@contextmanager
def _connected(address: str) -> Generator[Page]:
    """The page of the browser that listens at this address."""
    with _connection(address) as browser:
        targets = Page(browser).ask("Target.getTargets")["targetInfos"]
    page = next(one["targetId"] for one in targets if one["type"] == "page")
    with _connection(f"{address.partition('/devtools/')[0]}/devtools/page/{page}") as socket:
        yield Page(socket)


def _connection(address: str) -> Connection:
    try:
        return connect(address, max_size=None, proxy=None)
    except (OSError, WebSocketException) as error:
        raise NoBrowser(f"Chromium does not answer ({type(error).__name__}): try again") from None
