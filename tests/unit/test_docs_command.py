"""`waypost docs` shows the pages of the checkout, and every page that a text names exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import REPOSITORY

PAGES = {path.stem: path for path in (REPOSITORY / "docs").glob("*.md")}
NAMED = re.compile(r"waypost docs ([a-z-]+)")
SOURCES = ("waypost", "deployments", "tasks", "flows")


def shown(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "waypost", "docs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_all_pages_are_listed():
    assert {one["page"]: one["title"] for one in json.loads(shown("--json").stdout)} == {
        name: path.read_text().partition("\n")[0].removeprefix("# ") for name, path in PAGES.items()
    }


@pytest.mark.parametrize("name", ["providers", "docs/providers.md"])
def test_a_page_is_shown_as_it_is_written(name: str):
    assert shown(name).stdout == PAGES["providers"].read_text()


def test_an_unknown_page_is_told_with_the_nearest():
    done = shown("provider")
    assert (done.returncode, done.stderr) == (2, "waypost: no page 'provider'; did you mean providers?\n")


def test_every_page_that_a_message_names_exists():
    texts = [path.read_text() for folder in SOURCES for path in Path(REPOSITORY, folder).rglob("*.py")]
    named = {name for text in texts for name in NAMED.findall(text)}
    assert len(named) > 5
    assert named <= PAGES.keys()
