"""The types that can be used, those of the project and the shipped, and their deployments' names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from prefect import Flow
from pydantic import BaseModel, TypeAdapter

from waypost import NotificationType, Request
from waypost.config.settings import Settings
from waypost.deployments import type_files
from waypost.deployments.type_files import CannotLoad, TypeFile
from waypost.system.clock import now

RESERVED = ("waypost", "waypost-retry", "waypost-hold")  # the dashboard, and deployments for operators
FAILURES = "-failures"  # ends the name of the table of a type's failures
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class UnknownType(LookupError):
    """No file in flows/ declares a type of that name."""


class NotAskedFor(ValueError):
    """A type that Waypost composes itself, which no request can name. Says which types can be requested."""


class BrokenType(RuntimeError):
    """A file in flows/ declares no type that can be used. Says which file, and what to do."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A type with its flow, its file, and where Prefect finds the flow: `waypost.flows.alert.alert`.

    replaces: the shipped file whose type this one is used instead of, or ""."""

    type: NotificationType
    flow: Flow[..., Any]
    entrypoint: str
    source: TypeFile
    replaces: str = ""

    @property
    def deployment(self) -> str:
        """The deployment's name as Prefect writes it: `alert/alert`."""
        return f"{self.flow.name}/{self.type.name}"

    @property
    def file(self) -> str:
        """The file that declares it: `flows/alert.py`."""
        return self.source.name

    @property
    def request(self) -> TypeAdapter[Any]:
        """Reads one request of this type from JSON or Python values."""
        return TypeAdapter(self.shape)

    @property
    def shape(self) -> type[BaseModel]:
        """The shape of its requests."""
        return self.type.request or Request[self.type.facts]

    @property
    def may_wait(self) -> bool:
        """Whether its requests may wait for a digest."""
        return "digest" in self.shape.model_fields


@dataclass(frozen=True, slots=True)
class Found:
    """The usable types by name, a sentence for each other file, and the names that are switched off."""

    types: dict[str, Registered]
    faults: list[str]
    off: list[str]
    read_at: datetime


def registered() -> dict[str, Registered]:
    """Every type that can be used, by name: the project's and the shipped types; `broken` has the others."""
    return _found().types


def broken() -> list[str]:
    """A sentence for each file in flows/ that cannot be used: which, why, and what to do. The types of the
    other files stay usable."""
    return _found().faults


def switched_off() -> list[str]:
    """The shipped types that WAYPOST_SHIPPED_TYPES leaves out."""
    return _found().off


def read_at() -> datetime:
    """When this process began to read the files of the types."""
    return _found().read_at


def check() -> None:
    """Raise BrokenType unless every file in flows/ can be used."""
    if faults := broken():
        raise BrokenType("; ".join(faults))


@cache
def _found() -> Found:
    settings, read_at = Settings(), now()
    faults: list[str] = []
    meant: set[str] = set()  # names of files and types that the project has and cannot be used
    try:
        files = type_files.own_files(settings.project)
    except CannotLoad as error:
        files, faults, meant = [], [str(error)], type_files.names_in(settings.project)
    declared, failed = _declarations(files, faults)
    shipped, _ = _declarations(type_files.shipped_files(settings.project), faults)
    by_name = {one.type.name: one for one in shipped}
    offered = _offered(settings.shipped_types, by_name, faults)
    own = [one for one in declared if not _strands_what_waits(one, declared, by_name, offered, faults)]
    # Two types with one name are ambiguous: neither is usable until one is renamed. A shipped type is not
    # used instead of a file of the project that is meant to replace it and cannot be used.
    taken = {one.type.name for one in own}
    meant |= failed | type_files.names_in(settings.project, failed)
    kept = [one for one in _unambiguous(shipped, faults) if not {one.source.stem, one.type.name} & meant]
    kept = [one for one in kept if one.type.name not in taken]
    used = [_replacing(one, by_name) for one in _unambiguous(own, faults)]
    used += [one for one in kept if one.type.name in offered]
    if any(one.may_wait for one in used) and not any(map(_is_digest, used)):
        used += filter(_is_digest, kept)  # else what waits would never be sent
    names = {one.type.name: one for one in used}
    off = sorted(one.type.name for one in kept if one.type.name not in names)
    return Found(names, faults, off, read_at)


def _declarations(files: list[TypeFile], faults: list[str]) -> tuple[list[Registered], set[str]]:
    """The types of `files`, and the names of the files that cannot be used; adds to `faults`."""
    made: list[Registered] = []
    failed: set[str] = set()
    for file in files:
        try:
            if (one := _declared(file)) is not None:
                made.append(one)
        except (BrokenType, CannotLoad) as error:
            faults.append(str(error))
            failed.add(file.stem)
    return made, failed


def _unambiguous(types: list[Registered], faults: list[str]) -> list[Registered]:
    """The types whose names no other has; adds to `faults`."""
    count = Counter(one.type.name for one in types)
    for name in (name for name in count if count[name] > 1):
        files = " and ".join(one.file for one in types if one.type.name == name)
        faults.append(f"{files} both declare the type {name!r}: rename one, its flow and its templates too")
    return [one for one in types if count[one.type.name] == 1]


def _offered(setting: str, shipped: Collection[str], faults: list[str]) -> Collection[str]:
    """The shipped types that the setting names; adds to `faults`."""
    words = [word for part in setting.split(",") if (word := part.strip())]
    if words == ["all"]:
        return shipped
    if words == ["none"]:
        return ()
    faults += [
        f"WAYPOST_SHIPPED_TYPES: there is no shipped type {word!r}; write all, none, or some of "
        f"{', '.join(sorted(shipped))}"
        for word in words
        if word not in shipped
    ]
    return words


def _replacing(one: Registered, shipped: Mapping[str, Registered]) -> Registered:
    replaced = shipped.get(one.type.name)
    return replace(one, replaces=replaced.file) if replaced else one


def _strands_what_waits(
    one: Registered,
    own: Collection[Registered],
    shipped: Mapping[str, Registered],
    offered: Collection[str],
    faults: list[str],
) -> bool:
    """Whether a type takes a shipped digest's name and is no digest, or the reverse, so that nothing would
    send what waits for the digest, or accept requests of the type; adds to `faults`. The shipped type
    stays."""
    named = shipped.get(one.type.name)
    if named is None or _is_digest(named) == _is_digest(one):
        return False
    if named.type.name not in offered and not any(other.may_wait for other in own):
        return False  # nothing waits, and nobody asks for the shipped type
    faults.append(
        f"{one.file} replaces the shipped type {named.type.name}, which is {_kind(named)}, by {_kind(one)}: "
        f"rename the type, or declare it with digest={_is_digest(named)}"
    )
    return True


def _is_digest(one: Registered) -> bool:
    return one.type.digest


def _kind(one: Registered) -> str:
    return "a digest" if _is_digest(one) else "no digest"


def _declared(file: TypeFile) -> Registered | None:
    """The type of a file, or None where it declares none. Raises BrokenType, CannotLoad."""
    loaded = file.load()
    type = getattr(loaded, "TYPE", None)
    if type is None:
        if name := _declaration(loaded):
            raise BrokenType(f"{file.name} declares a type as {name}, and has no TYPE: name it TYPE")
        return None
    if not isinstance(type, NotificationType):
        raise BrokenType(
            f"{file.name}: TYPE is not a NotificationType. Declare it with NotificationType(...), or rename "
            "the variable"
        )
    if not KEBAB.fullmatch(type.name):
        raise BrokenType(
            f"{file.name} names its type {type.name!r}: write it in kebab-case, small letters and digits "
            "with hyphens between, such as parcel-shipped"
        )
    if type.name in RESERVED or type.name.endswith(FAILURES):
        raise BrokenType(
            f"{file.name} names its type {type.name!r}: Waypost has a deployment or a table of that name; "
            "choose another name"
        )
    return _with_flow(type, loaded, file)


def _declaration(module: ModuleType) -> str | None:
    """The name of a declaration in the file for which it has a flow."""
    values = vars(module)
    flow_names = {value.name for value in values.values() if isinstance(value, Flow)}
    declared = ((name, value) for name, value in values.items() if isinstance(value, NotificationType))
    return next((name for name, type in declared if type.name in flow_names), None)


def _with_flow(type: NotificationType, module: ModuleType, file: TypeFile) -> Registered:
    for name in dir(module):
        value: Any = getattr(module, name)
        if isinstance(value, Flow) and value.name == type.name:
            return Registered(type, cast("Flow[..., Any]", value), f"{module.__name__}.{name}", file)
    raise BrokenType(
        f"{file.name} declares the type {type.name!r} but has no flow of that name: "
        "put @flow(name=TYPE.name) over its flow"
    )


def present(entrypoint: str) -> str:
    """Where the flow of an entrypoint is now. Deployments made before shipped types were part of the package
    have `flows.alert.alert`, as a type of the project has. `prefect deploy` writes `flows/alert.py:alert`."""
    entrypoint = type_files.as_module(entrypoint)
    shipped, file = type_files.as_shipped(entrypoint)
    if not shipped or any(one.entrypoint == entrypoint for one in registered().values()):
        return entrypoint
    replacing = (one.entrypoint for one in registered().values() if one.replaces == file)
    return next(replacing, shipped if _is_elsewhere(entrypoint) else entrypoint)


def _is_elsewhere(entrypoint: str) -> bool:
    """Whether the project has no file of that name, or has another thing in it. A file that cannot be loaded
    is the project's own: its error says what to do."""
    module, _, name = entrypoint.rpartition(".")
    if module.partition(".")[2] not in type_files.own_stems(Settings().project):
        return True
    with suppress(CannotLoad):
        return not hasattr(TypeFile(f"{module.replace('.', '/')}.py", module).load(), name)
    return False


def find(name: str) -> Registered:
    """The type called `name`. Raises UnknownType, which lists the known types and the unusable files."""
    try:
        return registered()[name]
    except KeyError:
        near = get_close_matches(name.replace("_", "-").lower(), registered(), 1)
        others = (
            f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(registered())) or 'none'}"
        )
        unread = "".join(f"; {fault}" for fault in broken())
        said = f"there is no type {name!r}{unread}; {others}{_without_flows(Settings().project)}"
        raise UnknownType(said) from None


def _without_flows(project: Path) -> str:
    """A clause for a project without types of its own: its folder may be the wrong one."""
    return (
        "" if (project / "flows").exists() else f"; {project} has no flows/ (WAYPOST_PROJECT names another)"
    )


def a_type(name: str) -> str:
    """`name`, for the form of a flow. Raises ValueError unless a type has it."""
    if name not in registered():
        raise ValueError(f"there is no such type; there are {', '.join(sorted(registered()))}")
    return name


def requestable(name: str) -> Registered:
    """The type called `name`, if a request may name it. Raises UnknownType, or NotAskedFor for a type that
    Waypost composes of waiting requests."""
    one = find(name)
    offered = {key: other for key, other in registered().items() if not other.type.digest}
    if name in offered:
        return one
    waits = sorted(key for key, other in offered.items() if other.may_wait)
    hint = f'; `"digest": true` in a request of {" or ".join(waits)} lets it wait for one' if waits else ""
    raise NotAskedFor(f"type: not one of {', '.join(sorted(offered))}: Waypost composes {name} itself{hint}")
