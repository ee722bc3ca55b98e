"""pyproject.toml declares what the code imports, and nothing besides without a reason."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
SHIPPED = ("waypost", "flows", "tasks", "deployments")
OURS = {*SHIPPED, "benchmarks", *(path.stem for path in (ROOT / "tests").iterdir())}
PEERS = ROOT / "benchmarks/peers/python"  # programs in an environment of their own


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in requirements}


DECLARED = names(PROJECT["dependencies"])
WITH_DEV = DECLARED | names(PROJECT["optional-dependencies"]["dev"])


def imported(*rooms: str) -> dict[str, set[str]]:
    """The files that import each distribution."""
    owners, found = packages_distributions(), dict[str, set[str]]()
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py") if file.parent != PEERS]
    for file in files:
        for module in modules(file) - OURS - sys.stdlib_module_names:
            for owner in owners.get(module, [module]):
                found.setdefault(canonicalize_name(owner), set()).add(str(file.relative_to(ROOT)))
    return found


def modules(file: Path) -> set[str]:
    """The top-level names of what a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in (*plain, *named) if name}


def never_imported() -> set[str]:
    """What a comment in pyproject.toml gives the reason for."""
    found = re.findall(r"^ *# Never imported: .+\n(?: *#.*\n)*? *\"([\w-]+)", TEXT, re.MULTILINE)
    return {canonicalize_name(one) for one in found}


@pytest.mark.parametrize(
    ("rooms", "declared"), [(SHIPPED, DECLARED), (("tests", "benchmarks"), WITH_DEV)], ids=["shipped", "dev"]
)
def test_what_is_imported_is_declared(rooms, declared):
    assert {name: files for name, files in imported(*rooms).items() if name not in declared} == {}


def test_what_is_declared_is_imported_or_says_why_not():
    assert never_imported() == DECLARED - imported(*SHIPPED).keys()


def test_what_the_peers_import_is_named_in_their_requirements():
    lines = (PEERS / "requirements.in").read_text().splitlines()
    named = names([line for line in lines if not line.startswith("#")])
    files = list(PEERS.glob("*.py"))
    used = {module for file in files for module in modules(file)}
    foreign = used - sys.stdlib_module_names - {file.stem for file in files}
    assert {
        one for one in foreign if not any(name.endswith(canonicalize_name(one)) for name in named)
    } == set()
    assert "celery" in foreign


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "requirements-pip.lock", "benchmarks/peers/python/requirements.lock"]
)
def test_a_lock_names_versions_and_hashes_and_no_registry(lock):
    line = re.compile(r"[\w.-]+(\[[\w, -]+\])?==[^:/@]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [one for one in (ROOT / lock).read_text().splitlines() if not line.fullmatch(one)] == []


def test_the_lock_holds_every_declared_package():
    locked = re.findall(r"^([\w.-]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {canonicalize_name(one) for one in locked} >= WITH_DEV
