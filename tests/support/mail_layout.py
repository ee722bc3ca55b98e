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

# Of each mail: its width with all that sticks out, the left and right edges of the words of wordmark, card
# and footer, the borders of the card, the words of a table's row that touch each other, the direction, the
# left edges of a house number and its street, and of each element of the card its padding at the start and
# the end of its lines, and the alignment of its text.
MEASURE = """
addEventListener("load", () => {
  const edge = (node) => { const it = node.ownerDocument.createRange(); it.selectNodeContents(node);
    return it.getBoundingClientRect() };
  const of = (page) => {
    const card = page.querySelector(".card"), style = page.defaultView.getComputedStyle(card);
    const touching = [];
    for (const row of page.querySelectorAll("tr")) {
      const cells = [...row.children].filter((cell) => cell.textContent.trim()).map(edge);
      const gap = (one, other) => Math.max(one.left - other.right, other.left - one.right);
      if (cells.some((cell, n) => n && gap(cell, cells[n - 1]) < 6)) touching.push(row.innerText);
    }
    const edges = (node) => page.defaultView.getComputedStyle(node).direction === "rtl"
      ? ["Right", "Left"] : ["Left", "Right"];
    const sides = (node) => {
      const it = page.defaultView.getComputedStyle(node), [start, end] = edges(node);
      const written = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
      const [begin, last] = edges(node.parentElement).map((side) => side.toLowerCase());
      const align = {[begin]: "start", [last]: "end"}[it.textAlign.replace("-webkit-", "")] || it.textAlign;
      return [node.tagName, it["padding" + start], it["padding" + end], written ? align : ""];
    };
    const of_words = (text) => {
      const walk = page.createTreeWalker(page.body, 4), range = page.createRange();
      for (let node; (node = walk.nextNode());) {
        const at = node.data.indexOf(text);
        if (at < 0) continue;
        range.setStart(node, at); range.setEnd(node, at + text.length);
        return range.getBoundingClientRect().left;
      }
    };
    return { width: page.documentElement.scrollWidth, touching,
      direction: page.defaultView.getComputedStyle(page.querySelector("h1")).direction,
      house: { number: of_words("404"), street: of_words("Juniper") },
      sides: [...card.querySelectorAll("*")].map(sides),
      left: [".wordmark", "h1", ".footer"].map((name) => edge(page.querySelector(name)).left),
      right: [".wordmark", "h1", ".footer"].map((name) => edge(page.querySelector(name)).right),
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
