"""Runs the commands of docs/own-project.md as they are shown, in an environment with Waypost's wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from support.processes import REPOSITORY, Up, environment, start
from support.wheels import built, site_packages

pytestmark = pytest.mark.long

PAGE = (REPOSITORY / "docs" / "own-project.md").read_text()


def shown(heading: str) -> list[str]:
    """The blocks of commands below a heading."""
    _, _, section = PAGE.partition(f"# {heading}\n")
    section = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found


class Terminal:
    """Runs blocks of commands in a folder. pip finds Waypost in a folder of wheels, and has no index. bin: of
    the environment that is active."""

    def __init__(self, folder: Path, wheels: Path, bin: Path) -> None:
        self.folder, self.bin = folder, bin
        self.more = {
            "PYTHONPATH": "",
            "WAYPOST_SHIPPED_TYPES": "all",
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, block: str, **more: str) -> str:
        block = block.replace("PATH_OF_THE_CLONE", "waypost")  # its wheel, which pip makes of a clone
        env = environment(self.folder / ".waypost", **self.more, **more)
        done = subprocess.run(
            ["sh", "-euc", block], env=env, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{block}{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def terminal(tmp_path_factory) -> Terminal:
    """A terminal in a new project."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("shop")
    built(wheels)
    made = Terminal(folder, wheels, folder / ".venv" / "bin")
    install, _, init = shown("First mail")[0].strip().rpartition("\n")
    made.run(install)
    # In place of what pip would fetch: this environment's packages.
    (site_packages(folder / ".venv") / "others.pth").write_text(sysconfig.get_path("purelib"))
    made.run(init)
    return made


@pytest.fixture(scope="module")
def up(terminal) -> Up:
    assert shown("First mail")[1] == "waypost up\n"
    started = start(terminal.folder / ".waypost", str(terminal.bin / "python"), **terminal.more)
    yield started
    assert started.stop() == 0


def test_the_layout_is_what_is_made(terminal):
    _, _, section = PAGE.partition("## Layout\n")
    rows = re.findall(r"^\| (`.+?) \|", section.partition("## ")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    there = {path.name for path in terminal.folder.iterdir()} - {".venv", ".waypost"}
    beside = {"README.md", ".gitignore", ".dockerignore"}
    assert {name.partition("/")[0] for name in named} == there - beside
    assert all((terminal.folder / name).exists() for name in named)


def test_a_mail_of_the_projects_type_arrives(terminal, up):
    terminal.run(shown("First mail")[2])
    assert [mail["Subject"] for mail in up.mails("ada@buyer.example")] == ["Parcel shipped: 7"]


def test_a_new_type_is_written_and_names_the_next_commands(terminal, tmp_path):
    own = Terminal(tmp_path, tmp_path, terminal.bin)
    new, send = shown("Your next type")
    told = own.run(f"waypost init\n{new}")
    assert told.endswith(f"  waypost up\n  {send}")


def test_its_tests_pass(terminal):
    assert "3 passed" in terminal.run(shown("Tests")[0])


def test_shipped_templates_are_replaced_by_copies(terminal, up):
    terminal.run(shown("Shipped types and templates")[0])
    try:
        told = terminal.run("waypost doctor || true")
        assert "the project's and shipped: alert" in told
    finally:
        for name in ("_layout", "alert"):
            shutil.rmtree(terminal.folder / "templates" / name)


def test_an_upgrade_runs_as_it_is_shown(terminal, up):
    install, deploy = shown("Upgrade")
    terminal.run(install)
    assert "parcel-shipped/parcel-shipped" in terminal.run(deploy)


def test_the_ledger_is_restored_on_sqlite(terminal, tmp_path):
    restored(Terminal(tmp_path, tmp_path, terminal.bin), "SQLite")


@pytest.fixture
async def new_database(postgres_server) -> str:
    """The URL of an empty database."""
    name = f"waypost_restore_{uuid4().hex}"
    server = await asyncpg.connect(postgres_server)
    await server.execute(f'CREATE DATABASE "{name}"')
    yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.mark.skipif(not shutil.which("pg_dump") and not os.environ.get("CI"), reason="no pg_dump")
@pytest.mark.anyio
async def test_the_ledger_is_restored_on_postgresql(terminal, tmp_path, new_database):
    own = Terminal(tmp_path, tmp_path, terminal.bin)
    restored(own, "PostgreSQL", WAYPOST_DATABASE_URL=new_database)


def restored(own: Terminal, database: str, **more: str) -> None:
    backup, restore = shown(database)
    own.run("waypost init && waypost db upgrade && waypost keys create kept", **more)
    own.run(backup, **more)
    own.run("waypost keys create lost", **more)
    assert "lost" in own.run("waypost keys list", **more)
    own.run(restore, **more)
    listed = own.run("waypost keys list", **more)
    assert ("kept" in listed, "lost" in listed) == (True, False)
    for after in shown("After a restore"):
        own.run(after, **more)
