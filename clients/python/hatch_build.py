"""Makes the package waypost_client of the modules of Waypost that its client needs.

A package of another name than `waypost`: two distributions that share files break when one is removed.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "waypost_client"
MODULES = {  # of Waypost: where each goes in the package
    "client": "",
    "api": "api",
    "net/__init__.py": "net/__init__.py",
    "net/hosts.py": "net/hosts.py",
    "system/__init__.py": "system/__init__.py",
    "system/isolation.py": "system/isolation.py",
    "py.typed": "py.typed",
}


class ClientOfWaypost(BuildHookInterface[Any]):
    """Puts the package into a wheel or an sdist. An sdist has it ready for the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a build."""
        root = Path(self.root)
        if (root / PACKAGE).is_dir():
            return
        self._made = TemporaryDirectory()
        copy(root.parents[1] / "waypost", Path(self._made.name))
        build_data["force_include"][self._made.name] = PACKAGE


def copy(waypost: Path, package: Path) -> None:
    """Write the modules into `package`, with their imports of each other changed."""
    for source, target in MODULES.items():
        found = waypost / source
        files = sorted(found.glob("*.py")) if found.is_dir() else [found]
        for file in files:
            path = package / target / file.name if found.is_dir() else package / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(in_the_package(file.read_text(encoding="utf-8")), encoding="utf-8")


def in_the_package(text: str) -> str:
    """The source of a module, with the names that its parts have in the package."""
    return re.sub(r"\bwaypost\.(api|net|system)\b", rf"{PACKAGE}.\1", text.replace("waypost.client", PACKAGE))
