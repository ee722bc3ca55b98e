"""A real browser, driven as a person does: pages, clicks and keys, by Chromium's own protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One page. Its calls raise AssertionError when what they wait for does not come."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv(timeout=60))
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        made = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in made, made["exceptionDetails"]
        return made["result"].get("value")

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """The value of the expression once it is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(f"the page never fulfilled {script}: {self.text[:500]}")

    def open(self, url: str, width: int = 1400, height: int = 2400) -> None:
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    @property
    def text(self) -> str:
        """What the page shows."""
        return str(self.run("document.body.innerText"))

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self._ask("Input.insertText", text=text)

    def click(self, script: str) -> None:
        """Click on the middle of the element that the expression returns, once it is on top and stays
        where it is: a page that still grows moves it away."""
        at, before = self._middle_of(script), None
        while at != before:
            time.sleep(0.2)
            at, before = self._middle_of(script), at
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def _middle_of(self, script: str) -> dict[str, float]:
        return self.wait(
            f"(() => {{ const e = {script}; if (!e) return null; e.scrollIntoView({{block: 'center'}}); "
            "const r = e.getBoundingClientRect(); const x = r.x + r.width / 2, y = r.y + r.height / 2; "
            "return e.contains(document.elementFromPoint(x, y)) ? {x, y} : null; })()"
        )

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))


def chromium() -> str:
    """The program. CI fails without it, elsewhere tests skip."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing: .ci/run installs it")
        pytest.skip("no chromium: install it to look at pages and mails")
    return found


@contextmanager
def browser(profile: Path) -> Generator[Page]:
    """A page of a browser with a new profile."""
    process = subprocess.Popen(
        [chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        told = (re.search(r"listening on ws://\S+?:(\d+)/", line) for line in process.stderr)
        port = next(found[1] for found in told if found)
        pages = httpx.get(f"http://127.0.0.1:{port}/json", timeout=30).json()
        [page] = [one for one in pages if one["type"] == "page"]
        with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(30)
