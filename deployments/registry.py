"""Finds the types in flows/ and names their deployments on a Prefect server."""

from __future__ import annotations

import importlib
import pkgutil
import re
import traceback
from collections import Counter
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, cast

from prefect import Flow
from pydantic import BaseModel, TypeAdapter

import flows
from waypost import Category, NotificationType, Request

DEPLOYMENT = "waypost"
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class UnknownType(LookupError):
    """No file in flows/ declares a type of that name."""


class NotAskedFor(ValueError):
    """A type that Waypost composes itself, which no request can name. Says which types can be requested."""


class BrokenType(RuntimeError):
    """A file in flows/ declares no type that can be used. Says which file, and what to do."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A type with its flow, and where Prefect finds that flow: `flows.alert.alert`."""

    type: NotificationType
    flow: Flow[..., Any]
    entrypoint: str

    @property
    def deployment(self) -> str:
        """The deployment's name as Prefect writes it: `alert/waypost`."""
        return f"{self.flow.name}/{DEPLOYMENT}"

    @property
    def file(self) -> str:
        """The file that declares it: `flows/alert.py`."""
        return _file(self.entrypoint.rpartition(".")[0])

    @property
    def request(self) -> TypeAdapter[Any]:
        """Reads one request of this type from JSON or Python values."""
        return TypeAdapter(self.shape)

    @property
    def shape(self) -> type[BaseModel]:
        """The shape of its requests."""
        return self.type.request or Request[self.type.facts]


def registered() -> dict[str, Registered]:
    """Every type in flows/ that can be used, by name; `broken` has the others."""
    return _found()[0]


def broken() -> list[str]:
    """A sentence for each file in flows/ that cannot be used: which, why, and what to do. The types of the
    other files stay usable."""
    return _found()[1]


def check() -> None:
    """Raise BrokenType unless every file in flows/ can be used."""
    if faults := broken():
        raise BrokenType("; ".join(faults))


@cache
def _found() -> tuple[dict[str, Registered], list[str]]:
    """The usable types by name, and what is wrong with the other files."""
    made: list[Registered] = []
    faults: list[str] = []
    for module in pkgutil.iter_modules(flows.__path__, "flows."):
        try:
            if (one := _declared(module.name)) is not None:
                made.append(one)
        except BrokenType as error:
            faults.append(str(error))
    # Two types with one name are ambiguous: neither is usable until one is renamed.
    count = Counter(one.type.name for one in made)
    for name in (name for name in count if count[name] > 1):
        files = " and ".join(one.file for one in made if one.type.name == name)
        faults.append(f"{files} both declare the type {name!r}: rename one, its flow and its templates too")
    return {one.type.name: one for one in made if count[one.type.name] == 1}, faults


def _declared(module: str) -> Registered | None:
    """The type of a file, or None where it declares none. Raises BrokenType."""
    file = _file(module)
    try:
        loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a file may raise
        raise BrokenType(f"{file} cannot be loaded: {_why(error, file)}; fix it") from None
    type = getattr(loaded, "TYPE", None)
    if type is None:
        return None
    if not isinstance(type, NotificationType):
        raise BrokenType(f"the TYPE of {file} is no NotificationType: declare one, or name it otherwise")
    if not KEBAB.fullmatch(type.name):
        raise BrokenType(
            f"{file} names its type {type.name!r}: write it in kebab-case, small letters and digits with "
            "hyphens between, such as parcel-shipped"
        )
    return _with_flow(type, loaded)


def _with_flow(type: NotificationType, module: ModuleType) -> Registered:
    for name in dir(module):
        value: Any = getattr(module, name)
        if isinstance(value, Flow) and value.name == type.name:
            return Registered(type, cast("Flow[..., Any]", value), f"{module.__name__}.{name}")
    raise BrokenType(
        f"{_file(module.__name__)} declares the type {type.name!r} but has no flow of that name: "
        "put @flow(name=TYPE.name) over its flow"
    )


def _file(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _why(error: BaseException, file: str) -> str:
    """The error, and the line of `file` that raised it."""
    if isinstance(error, SyntaxError):
        elsewhere = "" if (error.filename or "").endswith(file) else f" of {error.filename}"
        return f"a syntax error in line {error.lineno}{elsewhere} ({error.msg})"
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename.endswith(file)]
    said = (str(error).splitlines() or [""])[0]
    where = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{where} ({said})"


def find(name: str) -> Registered:
    """The type called `name`. Raises UnknownType, which lists the known types and the unusable files."""
    try:
        return registered()[name]
    except KeyError:
        known = ", ".join(sorted(registered()))
        unread = "".join(f"; {fault}" for fault in broken())
        raise UnknownType(f"there is no type {name!r}; flows/ has {known}{unread}") from None


def requestable(name: str) -> Registered:
    """The type called `name`, if a request may name it. Raises UnknownType, or NotAskedFor for a type that
    Waypost composes of waiting requests."""
    one = find(name)
    offered = {
        key: other for key, other in registered().items() if other.type.category is not Category.DIGEST
    }
    if name in offered:
        return one
    waits = sorted(key for key, other in offered.items() if "digest" in other.shape.model_fields)
    hint = f'; `"digest": true` in a request of {" or ".join(waits)} lets it wait for one' if waits else ""
    raise NotAskedFor(f"type: not one of {', '.join(sorted(offered))}: Waypost composes {name} itself{hint}")
