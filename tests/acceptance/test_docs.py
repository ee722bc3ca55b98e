"""The documents are correct: their commands run, their files exist, their type works."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support import forks
from support.processes import REPOSITORY, Up, environment, start, waypost

from waypost.config.settings import Settings

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
COMMAND = re.compile(r"^\$ (waypost [^#\n]+?)(?:  # exit status (\d).*)?$", re.MULTILINE)
FILE = re.compile(r"^`([\w./-]+)`\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)\)")


def commands() -> list[tuple[str, str, int]]:
    found = [(path.name, *match) for path in DOCUMENTS for match in COMMAND.findall(path.read_text())]
    return [(name, line, int(status or 0)) for name, line, status in found if "parcel" not in line]


@pytest.mark.parametrize(("document", "line", "status"), commands())
def test_every_command_shown_runs_as_shown(up, document, line, status):
    command = [sys.executable, "-m", *shlex.split(line)]
    done = forks.run(command, 120, env=environment(up.home), cwd=REPOSITORY)
    assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document):
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_setting_is_documented_as_it_is():
    told = (REPOSITORY / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `WAYPOST_{name.upper()}` |" in told
        assert f"| {field.description} |" in told


@pytest.mark.long
def test_the_readmes_own_type_works_in_a_checkout(tmp_path):
    checkout = tmp_path / "checkout"
    for room in ("flows", "tasks", "templates", "deployments", "waypost"):
        shutil.copytree(REPOSITORY / room, checkout / room, symlinks=True)
    shutil.copy(REPOSITORY / "pyproject.toml", checkout)
    home = tmp_path / "home"
    own = {"PYTHONPATH": str(checkout), "WAYPOST_PROJECT": str(checkout), "WAYPOST_SHIPPED_TYPES": "all"}
    home.mkdir()
    made = waypost(home, "new", "parcel-shipped", **own)
    assert made.returncode == 0, made.stderr
    files = dict(FILE.findall((REPOSITORY / "README.md").read_text()))
    assert len(files) == 3
    assert {name: (checkout / name).read_text() for name in files} == files
    check = [sys.executable, "-m", "ruff", "check", "--quiet", "flows", "tests"]
    assert subprocess.run(check, cwd=checkout).returncode == 0
    ours: Up = start(home, **own)
    try:
        sent = ours.run("send", "parcel-shipped", "--sample", "--to", "ada@buyer.example", **own)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        [mail] = ours.mails("ada@buyer.example")
        assert mail["Subject"] == "Parcel shipped: 1042"
        assert 'href="https://shop.example/1042"' in mail.get_body(("html",)).get_content()
    finally:
        assert ours.stop() == 0


def test_whose_code_the_readme_checks_is_sent_one_by_the_samples():
    named = re.search(r"`waypost verify (\S+) CODE`", (REPOSITORY / "README.md").read_text()).group(1)
    samples = (REPOSITORY / "waypost" / "demo" / "signups.jsonl").read_text().splitlines()
    assert named in {json.loads(line)["recipient"].get("email") for line in samples}


@pytest.mark.long
def test_the_demo_sends_all_it_accepts_and_shows_only_pages_that_answer(tmp_path):
    """In a terminal it goes on until Enter is pressed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    terminal, stdin = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "waypost.demo"],
        env=env, cwd=tmp_path, stdin=stdin, stdout=subprocess.PIPE, text=True,
    ) as demo:  # fmt: skip
        said = ""
        while not re.search(r"^demo: .*\n", said, re.MULTILINE) and (line := demo.stdout.readline()):
            said += line
        pages = re.findall(r"^(?:Prefect UI|mails) +(http\S+)", said, re.MULTILINE)
        with httpx.Client(headers={"Accept": "text/html"}, follow_redirects=True, timeout=10) as browser:
            answers = {page: browser.get(page).status_code for page in pages}
        os.write(terminal, b"\n")
        assert demo.wait(60) == 0
    assert list(answers.values()) == [200, 200], answers
    assert re.search(r"attempt 1 refused .*attempt 2 accepted", said, re.DOTALL)
    accepted, sent = re.search(r"^demo: (\d+) accepted, (\d+) sent, 0 failed", said, re.MULTILINE).groups()
    assert accepted == sent
    assert len(list(Path(tmp_path, ".demo", "mail").glob("*.json"))) == 1
