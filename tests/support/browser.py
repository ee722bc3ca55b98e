"""A real browser, driven as a person does: pages, clicks and keys, by Chromium's own protocol."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from waypost.preview import browser as products
from waypost.preview.browser import NoBrowser


class Page:
    """One page. Its calls raise AssertionError when what they wait for does not come."""

    def __init__(self, page: products.Page) -> None:
        self.ask = page.ask

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        made = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
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
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    @property
    def text(self) -> str:
        """What the page shows."""
        return str(self.run("document.body.innerText"))

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)

    def click(self, script: str) -> None:
        """Click on the middle of the element that the expression returns, once it is on top and stays
        where it is: a page that still grows moves it away."""
        at, before = self._middle_of(script), None
        while at != before:
            time.sleep(0.2)
            at, before = self._middle_of(script), at
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def _middle_of(self, script: str) -> dict[str, float]:
        return self.wait(
            f"(() => {{ const e = {script}; if (!e) return null; e.scrollIntoView({{block: 'center'}}); "
            "const r = e.getBoundingClientRect(); const x = r.x + r.width / 2, y = r.y + r.height / 2; "
            "return e.contains(document.elementFromPoint(x, y)) ? {x, y} : null; })()"
        )

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))


def chromium() -> str:
    """The program. CI fails without it, elsewhere tests skip."""
    try:
        return products.program()
    except NoBrowser as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@contextmanager
def browser() -> Generator[Page]:
    """A page of a browser with a new profile."""
    chromium()
    with products.open_page() as page:
        yield Page(page)
