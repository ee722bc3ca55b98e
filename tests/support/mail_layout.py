"""Where a browser puts the parts of mails: all mails in one page, one start of chromium."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.browser import chromium

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip

# Of each mail: its width with all that sticks out, the left edges of the words of wordmark, card and footer,
# the borders of the card, and the words of a table's row that touch each other.
MEASURE = """
addEventListener("load", () => {
  const edge = (node) => { const it = node.ownerDocument.createRange(); it.selectNodeContents(node);
    return it.getBoundingClientRect() };
  const of = (page) => {
    const card = page.querySelector(".card"), style = page.defaultView.getComputedStyle(card);
    const touching = [];
    for (const row of page.querySelectorAll("tr")) {
      const cells = [...row.children].filter((cell) => cell.textContent.trim()).map(edge);
      if (cells.some((cell, n) => n && cell.left - cells[n - 1].right < 6)) touching.push(row.innerText);
    }
    return { width: page.documentElement.scrollWidth, touching,
      left: [".wordmark", "h1", ".footer"].map((name) => edge(page.querySelector(name)).left),
      borders: [style.borderLeftWidth, style.borderRightWidth] };
  };
  const found = Object.fromEntries([...document.querySelectorAll("iframe")]
    .map((frame) => [`${frame.width} ${frame.title}`, of(frame.contentDocument)]));
  document.body.textContent = "FOUND" + JSON.stringify(found) + "DNUOF";
});
"""


def measured(pages: Mapping[str, str], widths: Sequence[int], folder: Path) -> dict[str, Any]:
    """What MEASURE finds in each page at each width in pixels, by `<width> <name>`."""
    frames = "".join(
        f'<iframe title="{html.escape(name)}" width="{width}" height="900" style="border:0" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in widths
    )
    sheet = folder / "mails.html"
    page = f"<!doctype html><meta charset='utf-8'><script>{MEASURE}</script>{frames}"
    sheet.write_text(page, encoding="utf-8")
    shown = subprocess.run(
        [chromium(), *FLAGS, f"--user-data-dir={folder}", sheet.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    found = re.search("FOUND({.*?})DNUOF", html.unescape(shown.stdout.replace("&nbsp;", " ")), re.DOTALL)
    assert found, shown.stdout[-2000:]
    return json.loads(found[1], strict=False)
