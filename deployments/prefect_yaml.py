"""Adds a new type to the project's `prefect.yaml`, which `prefect deploy --all` reads."""

from __future__ import annotations

import re
from pathlib import Path

from waypost.deployments.new_files import module_of

NAME = "prefect.yaml"
_KEY = re.compile(r"^(\w[\w-]*):", re.MULTILINE)  # at the top of the document
_ITEM = re.compile(r"^( *)- name:", re.MULTILINE)


def add(project: Path, type: str) -> bool | None:
    """Add a deployment of the type at the end of the file; its comments and the rest stay. None if the
    project has no such file; False if the file does not end with its deployments, and stays as it is.
    Raises OSError."""
    file = project / NAME
    if not file.is_file():
        return None
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    keys, items = list(_KEY.finditer(text)), list(_ITEM.finditer(text))
    if not keys or keys[-1][1] != "deployments" or not items or items[-1].start() < keys[-1].start():
        return False
    file.write_text(f"{text.rstrip()}\n{_entry(type, items[-1][1])}", encoding="utf-8")
    return True


def _entry(type: str, indent: str) -> str:
    module = module_of(type)
    lines = (
        f"- name: {type}",
        f"  entrypoint: flows/{module}.py:{module}",
        "  tags: [waypost]",
        "  work_pool: {name: waypost, work_queue_name: normal}",
    )
    return "".join(f"{indent}{line}\n" for line in lines)
