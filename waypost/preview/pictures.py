"""Pictures of a mail: at the width of a phone and of a desktop, light and dark, as high as the mail."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from waypost.preview.browser import Page
from waypost.preview.remote_images import without_remote_images

WIDTHS = (375, 700)  # pixels: a phone, and the reading pane of a mail program
SCHEMES = ("light", "dark")
HIGHEST = 16_384  # pixels; Chromium paints no higher


class TooHigh(ValueError):
    """A mail is higher than a picture can be. Says how high."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a type's mail in a language."""

    type: str
    locale: str
    width: int
    scheme: str
    file: Path


def take_all(
    page: Page, html: str, type: str, locale: str, folder: Path, brand: str | None = None
) -> Iterator[Picture]:
    """Write the pictures of a mail: `TYPE-LOCALE-375-light.png` and so on, with the brand before the width if
    a brand was asked for. Raises TooHigh, NoBrowser, OSError."""
    name = "-".join(filter(None, (type, locale, brand)))
    for width in WIDTHS:
        for scheme in SCHEMES:
            file = folder / f"{name}-{width}-{scheme}.png"
            file.write_bytes(take(page, html, width, scheme))
            yield Picture(type, locale, width, scheme, file)


def take(page: Page, html: str, width: int, scheme: str) -> bytes:
    """The mail as a PNG. It runs no script and loads nothing: an image on another server is its alternative
    text. Raises TooHigh, NoBrowser."""
    page.ask("Emulation.setScriptExecutionDisabled", value=True)
    page.ask("Network.enable")
    page.ask("Network.setBlockedURLs", urls=["http://*", "https://*", "file://*"])
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    _set_size(page, width, 1)
    page.ask("Page.setDocumentContent", frameId=_frame(page), html=without_remote_images(html))
    height = page.ask("Page.getLayoutMetrics")["cssContentSize"]["height"]
    if height > HIGHEST:
        raise TooHigh(
            f"the mail is {height:,} pixels high at a width of {width}; a picture has {HIGHEST:,} at most"
        )
    _set_size(page, width, max(int(height), 1))
    return base64.b64decode(page.ask("Page.captureScreenshot")["data"])


def _frame(page: Page) -> str:
    return page.ask("Page.getFrameTree")["frameTree"]["frame"]["id"]


def _set_size(page: Page, width: int, height: int) -> None:
    page.ask(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )
