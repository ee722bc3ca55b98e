"""Cuts the data of caniemail.com down to what `waypost templates check` needs; `make client-support` runs it.

The npm package `caniemail` has the data. The cut has the features that Gmail, Outlook for Windows or Apple
Mail lack outright in their newest tested version, and how each feature is written in CSS and HTML.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CUT = Path(__file__).parents[2] / "waypost/rendering/checks/client_support.json"

# What must lack a feature for a client to lack it: any of these programs.
CLIENTS = {
    "Gmail": ("gmail", ("desktop-webmail", "ios", "android")),
    "Outlook": ("outlook", ("windows",)),
    "Apple Mail": ("apple-mail", ("macos", "ios")),
}

# How features are written whose titles do not say so. An empty list leaves a feature out: selectors and
# protocols have no place of their own in a mail.
WRITTEN = {
    "css-border-inline-block": ["border-inline", "border-block"],
    "css-display-flex": ["display:flex", "display:inline-flex"],
    "css-display-grid": ["display:grid", "display:inline-grid"],
    "css-color-scheme": ["color-scheme"],
    "css-grid-template": [
        "grid-template",
        "grid-template-areas",
        "grid-template-columns",
        "grid-template-rows",
    ],
    "css-intrinsic-size": [],
    "css-modern-color": ["lch()", "oklch()", "lab()", "oklab()"],
    "css-nesting": [],
    "css-position": ["position:absolute", "position:fixed", "position:sticky", "position:relative"],
    "css-pseudo-class-lang": [],
    "css-scroll-snap": ["scroll-snap-type", "scroll-snap-align"],
    "css-sytem-ui": [],
    "css-text-wrap": ["text-wrap"],
    "css-unit-calc": ["calc()"],
    "css-unit-initial": [],
    "css-variables": ["var()"],
    "html-anchor-links": [],
    "html-button-reset": ["<button>"],
    "html-button-submit": ["<button>"],
    "html-doctype": [],
    "html-meta-color-scheme": [],
    "html-semantics": [],
    "html-srcset": ["srcset="],
    "html-svg": ["<svg>"],
    "image-apng": [],
    "image-avif": [".avif"],
    "image-base64": ["data:"],
    "image-heif": [".heif", ".heic"],
    "image-ico": [".ico"],
    "image-mp4": [".mp4"],
    "image-svg": [".svg"],
    "image-tiff": [".tif", ".tiff"],
    "image-webp": [".webp"],
}
# `gap, column-gap, row-gap`, `max()`, `rem unit`, `<video> element`, `hidden attribute`, `@import`
PROPERTIES = re.compile(r"[a-z-]+( property)?((,| &) [a-z-]+)*")
PATTERNS = (
    (re.compile(r"([a-z-]+)\(\)"), "{}()"),
    (re.compile(r"([a-z]+) unit"), "1{}"),
    (re.compile(r"<([a-z]+)(?: [^>]*)?>(?: element)?"), "<{}>"),
    (re.compile(r"([a-z-]+) attribute"), "{}="),
    (re.compile(r"(@[a-z-]+)"), "{}"),
)


def main() -> None:
    with TemporaryDirectory() as folder:
        packed = packed_in(Path(folder)) if len(sys.argv) < 2 else Path(sys.argv[1])
        with tarfile.open(packed) as files:
            package = json.load(files.extractfile("package/package.json") or sys.exit("no package.json"))
            data = json.load(files.extractfile(data_file(files)) or sys.exit("no data"))
    CUT.write_text(in_lines(cut(data, package["version"])))
    print(f"{CUT.name}: caniemail {package['version']} of {data['last_update_date'][:10]}")  # noqa: T201


def in_lines(found: dict[str, Any]) -> str:
    """JSON with a line for each feature: a change shows as its lines."""
    head = {name: value for name, value in found.items() if name != "features"}
    features = ",\n".join(f"  {json.dumps(one)}: {json.dumps(of)}" for one, of in found["features"].items())
    return json.dumps(head, indent=1)[:-2] + f',\n "features": {{\n{features}\n }}\n}}\n'


def packed_in(folder: Path) -> Path:
    """The npm package, as npm brings it."""
    done = subprocess.run(
        ["npm", "pack", "--silent", "caniemail"], cwd=folder, capture_output=True, text=True, check=True
    )
    return folder / done.stdout.strip()


def data_file(files: tarfile.TarFile) -> str:
    return next(name for name in files.getnames() if name.endswith("/data/caniemail.json"))


def cut(data: dict[str, Any], version: str) -> dict[str, Any]:
    """The cut: the clients that lack a feature, by how it is written."""
    features: dict[str, list[str]] = {}
    for one in sorted(data["data"], key=lambda one: one["slug"]):
        lacking = [name for name, (family, programs) in CLIENTS.items() if lacks(one, family, programs)]
        for use in written(one) if lacking else []:
            features[use] = lacking
    return {
        "source": f"https://www.caniemail.com, by the npm package caniemail {version}",
        "date": data["last_update_date"][:10],
        "licence": (
            "MIT; Copyright (c) 2019 HTeuMeuLeu (data), Copyright (c) Avi Goldman, Andrew Powell (package). "
            + PERMISSION
        ),
        "features": dict(sorted(features.items())),
    }


def lacks(feature: dict[str, Any], family: str, programs: tuple[str, ...]) -> bool:
    """Whether the newest tested version of a program of the family lacks a feature."""
    tested = feature["stats"].get(family, {})
    newest = ([*tested.get(program, {}).values()] for program in programs)
    return any(versions and versions[-1].startswith("n") for versions in newest)


def written(feature: dict[str, Any]) -> list[str]:
    """How a feature is written: `gap`, `display:flex`, `calc()`, `1rem`, `@import`, `<video>`, `hidden=`."""
    slug, title = feature["slug"], feature["title"].strip()
    if slug in WRITTEN:
        return WRITTEN[slug]
    for pattern, form in PATTERNS:
        if found := pattern.fullmatch(title):
            return [form.format(found[1])]
    if slug.startswith("css-") and PROPERTIES.fullmatch(title):
        return re.split(", | & ", title.removesuffix(" property"))
    if slug.startswith("css-") and re.fullmatch(r"[a-z-]+: ?[a-z]+", title):
        return [title.replace(" ", "")]
    return []


PERMISSION = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software "
    'and associated documentation files (the "Software"), to deal in the Software without '
    "restriction, including without limitation the rights to use, copy, modify, merge, publish, "
    "distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the "
    "Software is furnished to do so, subject to the following conditions: The above copyright notice "
    "and this permission notice shall be included in all copies or substantial portions of the "
    'Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, '
    "INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE"
    " AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY "
    "CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING "
    "FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."
)

if __name__ == "__main__":
    main()
