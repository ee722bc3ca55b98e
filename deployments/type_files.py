"""Finds the type files of the project and of Waypost, and loads them.

The project's flows/ is loaded as the package `flows`, whatever else of that name is installed. Waypost's own
flows/ is `waypost.flows`. In a checkout both are the same folder, and each file is found once.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from enum import EnumType
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from waypost import flows, tasks
from waypost.model.validation_messages import explain

PACKAGE = "flows"
FIX = "fix it"  # ends what is said of a file that cannot be loaded
_NAMED = re.compile(r"""\bname\s*=\s*["']([\w-]{1,200})["']""")
SHIPPED = flows.__name__
_FILE = re.compile(rf"(?:\./)?{PACKAGE}/(\w+)\.py:(\w+)")


class CannotLoad(RuntimeError):
    """A file in flows/, or the folder, cannot be loaded. Says which file, and what to do."""


@dataclass(frozen=True, slots=True)
class TypeFile:
    """A Python file in flows/. name: as messages name it, `flows/alert.py`. module: as it is imported."""

    name: str
    module: str

    @property
    def shipped(self) -> bool:
        """Whether the file is in Waypost's own flows/."""
        return self.module.startswith(f"{SHIPPED}.")

    @property
    def stem(self) -> str:
        return self.module.rpartition(".")[2]

    def load(self) -> ModuleType:
        """The file as a module. Raises CannotLoad."""
        try:
            return importlib.import_module(self.module)
        except (Exception, SystemExit) as error:  # whatever a file may raise
            raise CannotLoad(f"{self.name} cannot be loaded: {_why(error, self.name)}; {FIX}") from None


def is_checkout(project: Path) -> bool:
    """Whether the project's flows/ is Waypost's own."""
    folder = project / PACKAGE
    return folder.exists() and folder.samefile(_shipped_folder())


def shipped_files(project: Path) -> list[TypeFile]:
    """The files in Waypost's own flows/. project: names them `flows/...` if it is the checkout."""
    beside = "" if is_checkout(project) else "waypost/"
    return [
        TypeFile(f"{beside}{PACKAGE}/{name}.py", f"{SHIPPED}.{name}") for name in _names(_shipped_folder())
    ]


def own_files(project: Path) -> list[TypeFile]:
    """The files in the project's flows/; empty if it has none, or it is Waypost's own.

    From now on `flows` is the project's, and its files find the project's modules. Raises CannotLoad if the
    folder cannot be read or its `__init__.py` fails.
    """
    folder = project / PACKAGE
    if not folder.exists() or is_checkout(project):
        return []
    try:
        names = list(_names(folder))
    except OSError as error:
        raise CannotLoad(
            f"{folder} cannot be read ({error.strerror}): let this user read the folder"
        ) from None
    if str(project) not in sys.path:
        sys.path.append(str(project))  # at the end, so that the project's modules shadow no others
    _load_package(folder)
    return [TypeFile(f"{PACKAGE}/{name}.py", f"{PACKAGE}.{name}") for name in names]


def names_in(project: Path, stems: Set[str] | None = None) -> set[str]:
    """The names that files of the project's flows/ have and mention as a type's (`name="alert"`), without
    loading them. stems: only these files."""
    found: set[str] = set()
    with suppress(OSError):
        for file in (project / PACKAGE).glob("*.py"):
            if stems is None or file.stem in stems:
                found |= {file.stem, *_NAMED.findall(file.read_text("utf-8", "replace"))}
    return found


def as_module(entrypoint: str) -> str:
    """The entrypoint `flows/alert.py:alert` as `flows.alert.alert`; any other as it is."""
    file = _FILE.fullmatch(entrypoint)
    return f"{PACKAGE}.{file[1]}.{file[2]}" if file else entrypoint


def as_shipped(entrypoint: str) -> tuple[str, str]:
    """The entrypoint `flows.alert.alert` as one of Waypost's own, and its file as messages name it; empty if
    no shipped file has that name."""
    package, _, rest = entrypoint.partition(".")
    stem = rest.partition(".")[0]
    if package != PACKAGE or stem not in set(_names(_shipped_folder())):
        return "", ""
    return f"{SHIPPED}.{rest}", f"waypost/{PACKAGE}/{stem}.py"


def own_stems(project: Path) -> set[str]:
    """The names of the files in the project's flows/; empty if the folder cannot be loaded."""
    try:
        return {file.stem for file in own_files(project)}
    except CannotLoad:  # the shipped types run all the same
        return set()


def _shipped_folder() -> Path:
    return Path(flows.__path__[0])


def _names(folder: Path) -> Iterator[str]:
    next(folder.iterdir(), None)  # pkgutil takes a folder that cannot be read for an empty one
    return (found.name for found in pkgutil.iter_modules([str(folder)]))


def _load_package(folder: Path) -> None:
    """Make `folder` the package `flows`, and forget another package of that name."""
    if list(getattr(sys.modules.get(PACKAGE), "__path__", ())) == [str(folder)]:
        return
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]
    package = sys.modules[PACKAGE] = module_from_spec(spec := _spec(folder))
    if spec.loader is None:
        return
    try:
        spec.loader.exec_module(package)
    except (Exception, SystemExit) as error:  # whatever a file may raise
        del sys.modules[PACKAGE]
        name = f"{PACKAGE}/__init__.py"
        raise CannotLoad(f"{name} cannot be loaded: {_why(error, name)}; {FIX}") from None


def _spec(folder: Path) -> ModuleSpec:
    start = folder / "__init__.py"
    spec = spec_from_file_location(PACKAGE, start) if start.is_file() else None
    spec = spec or ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


def _why(error: BaseException, file: str) -> str:
    """The error, and the line of `file` that raised it."""
    if isinstance(error, SyntaxError):
        elsewhere = "" if (error.filename or "").endswith(file) else f" of {error.filename}"
        return f"a syntax error in line {error.lineno}{elsewhere} ({error.msg})"
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename.endswith(file)]
    where = f" in line {lines[-1]}" if lines else ""
    if isinstance(error, ValidationError):
        return f"{error.title}{where}: {explain(error, whole='together')}"
    said = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}{where} ({said}){_hint(error)}"


def _hint(error: BaseException) -> str:
    """The values of a choice, or where the names are that Waypost once had in top-level packages."""
    if isinstance(error, AttributeError) and isinstance(error.obj, EnumType):
        return f"; there are {', '.join(f'{error.obj.__name__}.{name}' for name in error.obj.__members__)}"
    wanted = (error.name or "") if isinstance(error, ImportError) else ""
    if wanted == "tasks":
        return f"; import the steps from {tasks.__name__}"
    package, _, name = wanted.partition(".")
    if package == PACKAGE and name in set(_names(_shipped_folder())):
        return f"; import the shipped type from {SHIPPED}.{name}"
    return ""
