"""Adds a new type to the project's `prefect.yaml`, which `prefect deploy --all` reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml  # pyright: ignore[reportMissingModuleSource]

from waypost.deployments.skeleton_files import module_of

NAME = "prefect.yaml"
ENTRY = """\
- name: {type}
  entrypoint: flows/{module}.py:{module}
  tags: [waypost]
  work_pool: {{name: waypost, work_queue_name: normal}}
"""
_ITEM = re.compile(r"^( *)- ", re.MULTILINE)


def add(project: Path, type: str) -> bool | None:
    """Add a deployment of the type at the end of the file; its comments and the rest stay. None if the
    project has no such file, or the file has the type; False if the file cannot be read or written, or does
    not end with its deployments, and stays as it is."""
    try:
        return _added(project / NAME, type)
    except OSError:
        return False


def _added(file: Path, type: str) -> bool | None:
    if not file.is_file():
        return None
    try:
        text = file.read_bytes().decode()
        known = _deployments(text)
    except (ValueError, yaml.YAMLError):
        return False
    if any(one.get("name") == type for one in known if isinstance(one, dict)):
        return None
    entry = ENTRY.format(type=type, module=module_of(type))
    for indent in dict.fromkeys(found[1] for found in _ITEM.finditer(text)):
        longer = _with(text, indent, entry)
        if _has(longer, [*known, *yaml.safe_load(entry)]):
            file.write_bytes(longer.encode())
            return True
    return False


def _deployments(text: str) -> list[Any]:
    """Raises ValueError for a file of another shape, and yaml.YAMLError."""
    read: Any = yaml.safe_load(text)
    found: Any = read.get("deployments") if isinstance(read, dict) else None  # pyright: ignore
    if not isinstance(found, list):
        raise ValueError("no list of deployments")
    return found  # pyright: ignore


def _has(text: str, wanted: list[Any]) -> bool:
    """Whether these are the deployments of the text: the entry has no other right place."""
    try:
        return _deployments(text) == wanted
    except (ValueError, yaml.YAMLError):
        return False


def _with(text: str, indent: str, entry: str) -> str:
    """The text and the entry, in the file's own line ends."""
    ending = "\r\n" if "\r\n" in text else "\n"
    before = text if text.endswith("\n") else text + ending
    return before + "".join(f"{indent}{line}{ending}" for line in entry.splitlines())
