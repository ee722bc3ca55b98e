"""Every room and every file says what it is for."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("waypost", "deployments", "tasks", "flows", "benchmarks", "tests/support")
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
TOP = ("deployments", "docs", "flows", "tasks", "templates")
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MIGRATIONS = ROOT / "waypost/ledger/database/migrations/versions"
ONE_SENTENCE = re.compile(r"[A-Z`](?:[^.?]|[.?](?! [A-Z`\"]))*[.?]")
DRAWING = (ROOT / "docs" / "architecture.md").read_text()


def begins_with_one_sentence(file):
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    first = " ".join(text.split("\n\n")[0].split())
    sentence = re.sub(r" Pure\b[^.]*\.$", "", first)
    return ONE_SENTENCE.fullmatch(sentence) or (text and file.parent == MIGRATIONS)


def test_a_file_begins_with_one_sentence():
    assert [str(file) for file in FILES if not begins_with_one_sentence(file)] == []


def test_no_file_lies_loose_in_waypost():
    loose = {file.name for file in (ROOT / "waypost").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("package", ["waypost", "deployments", "tasks", "waypost/gateway", "waypost/ledger"])
def test_the_drawing_shows_every_room(package):
    folders = [file.parent for file in (ROOT / package).glob("*/__init__.py")]
    rooms = {folder.name for folder in folders if not folder.is_symlink()}
    assert {room for room in rooms if not re.search(rf"^ +{room}/ ", DRAWING, re.MULTILINE)} == set()


def test_the_drawing_of_imports_is_the_contract_of_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [set(re.findall(r"waypost\.(\w+)", layer)) for layer in contracts[0]["layers"]]
    [drawn] = re.findall(r"flowchart TD\n(.*?)```", DRAWING, re.DOTALL)
    boxes = [
        re.sub(r"^\w+\[\"|\"\]$", "", box.strip()) for box in re.split(r"-->", drawn.replace("\n", "--> "))
    ]
    assert [set(box.split(" · ")) for box in boxes if len(box) > 1] == layers


def test_the_top_folders_are_in_the_package_and_imported_from_it():
    links = {link.name: link.resolve() for link in (ROOT / "waypost").iterdir() if link.is_symlink()}
    assert links == {name: ROOT / name for name in TOP}
    beside = re.compile(rf"^\s*(from|import) ({'|'.join(TOP)})\b", re.MULTILINE)
    assert [str(file) for file in (*FILES, *TESTS) if beside.search(file.read_text())] == []


def test_the_drawing_names_only_files_there_are():
    named = set(re.findall(r"`([\w/]+\.py)`", DRAWING))
    there = [f"/{file.relative_to(ROOT)}" for file in (*FILES, *(ROOT / "tests").rglob("*.py"))]
    assert {one for one in named if not any(path.endswith(f"/{one}") for path in there)} == set()


def private_names_imported(file):
    nodes = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom))
    return [alias.name for node in nodes for alias in node.names if alias.name.startswith("_")]


def test_tests_import_no_private_names():
    assert {str(file): names for file in TESTS if (names := private_names_imported(file))} == {}
