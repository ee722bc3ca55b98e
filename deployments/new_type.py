"""Writes the files of a new type into the project: flow, templates, sample and test."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from waypost.config.settings import Settings
from waypost.deployments.registry import FAILURES, KEBAB, RESERVED, registered
from waypost.deployments.skeleton_files import NewFile, files_of_a_type, module_of, write
from waypost.deployments.type_files import PACKAGE, is_checkout

LONGEST = 40  # letters of a name: it is a part of many lines


class NoNewType(RuntimeError):
    """A type of that name cannot be made. Says why."""


def make(name: str) -> list[Path]:
    """Write the files of a type; returns their paths in the project's folder. Raises NoNewType, before it
    writes anything, and OSError."""
    settings = Settings()
    project = settings.project
    files = files_of_a_type(name, settings.templates, is_checkout(project))
    _check_name(name)
    _check_module(name, files)
    _check_project(project)
    if taken := next(_in_the_way(name, project, settings.templates, files), None):
        raise NoNewType(f"{taken}; nothing was written: choose another name")
    return write(project, files)


def _check_name(name: str) -> None:
    if not KEBAB.fullmatch(name) or len(name) > LONGEST:
        near = _in_kebab_case(name)
        meant = f" (did you mean {near}?)" if near != name and KEBAB.fullmatch(near) else ""
        raise NoNewType(
            f"{name!r} cannot name a type{meant}: write it in kebab-case, small letters and digits with "
            f"hyphens between, {LONGEST} at most, such as seat-reserved"
        )
    if name in RESERVED or name.endswith(FAILURES):
        raise NoNewType(
            f"{name!r} is reserved: Waypost has a deployment or a table of that name; choose another name"
        )


def _in_kebab_case(name: str) -> str:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    return re.sub(r"[^A-Za-z0-9]+", "-", apart).strip("-").lower()


def _check_module(name: str, files: Sequence[NewFile]) -> None:
    """The flow has the type's name, which must not be Python's, and must not hide what the flow calls."""
    module = module_of(name)
    if keyword.iskeyword(module):
        raise NoNewType(f"{name!r} is reserved: it is a word of Python; choose another name")
    [flow] = (file.text for file in files if file.path.parent == Path(PACKAGE))
    if module in _imported(flow):
        raise NoNewType(f"{name!r} is reserved: a type's file imports {module}; choose another name")


def _imported(text: str) -> set[str]:
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom))
    return {alias.name for node in nodes for alias in node.names}


def _check_project(project: Path) -> None:
    if not (project / PACKAGE).is_dir():
        raise NoNewType(
            f"{project} has no {PACKAGE}/: go to the folder of your project, or make a project with "
            "`waypost init`"
        )


def _in_the_way(name: str, project: Path, templates: Path, files: Sequence[NewFile]) -> Iterator[str]:
    """Sentences about what has the name already."""
    if one := registered().get(name):
        yield f"the type {name} is there already, in {one.file}"
    homes = (Path(PACKAGE) / module_of(name), templates / name)
    for path in (*(file.path for file in files), *homes):
        if (project / path).exists() or (project / path).is_symlink():
            yield f"{path} is there already"
