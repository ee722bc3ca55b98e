"""The checks of the templates and routes of types that can be used; each fault names its file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from waypost.channels.channel import Channel
from waypost.config.settings import SHIPPED, Settings
from waypost.deployments.registry import Registered, registered
from waypost.deployments.type_files import is_checkout
from waypost.policy.route_steps import unknown_words
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_check import TemplateFault, faults_in, hidden
from waypost.rendering.template_files import TemplateError

MOST_FAULTS = 6  # sentences about the templates of a type
MOST_NAMES = 3


def template_faults(settings: Settings) -> list[str]:
    """A sentence for each fault in the catalogues, and in the templates of every type, in every language, and
    for each name of a fact that templates cannot see. A fault of a layout is told once, not for each type."""
    templates = Templates(settings.template_folders, settings.default_locale)
    of_types = [fault for one in registered().values() for fault in faults_of(one, templates)]
    return [*dict.fromkeys((*templates.broken_catalogues(), *of_types))]


def faults_at_start(settings: Settings) -> list[str]:
    """Like `template_faults`, without the types that are used as shipped.

    Waypost's own tests check those, and the check would take most of a command's start."""
    if _changes_every_type(settings):
        return template_faults(settings)
    templates = Templates(settings.template_folders, settings.default_locale)
    changed = (one for one in registered().values() if not _is_as_shipped(one, settings))
    return [*dict.fromkeys(fault for one in changed for fault in faults_of(one, templates))]


def _changes_every_type(settings: Settings) -> bool:
    """Whether the project has layouts or catalogues of its own, or is a checkout of Waypost."""
    own, *others = settings.template_folders
    return any(own.glob("_*")) if others else is_checkout(settings.project)


def _is_as_shipped(one: Registered, settings: Settings) -> bool:
    """Whether the type and its templates are shipped; a project may replace one file of them."""
    own = [folder for folder in settings.template_folders if folder != SHIPPED / "templates"]
    return one.source.shipped and not any(os.path.lexists(folder / one.type.name) for folder in own)


def template_origins(settings: Settings) -> list[str]:
    """A clause for each group of types whose templates are in the same folders; none if all are in one."""
    folders, groups = settings.template_folders, dict[tuple[Path, ...], list[str]]()
    if len(folders) == 1:
        return []
    templates = Templates(folders, settings.default_locale)
    for name, one in sorted(registered().items()):
        if one.type.finished is None:
            with suppress(TemplateError):  # `template_faults` tells it
                groups.setdefault(tuple(templates.files.of_type(name)), []).append(name)
    said = {folders[:1]: "the project's", folders: "the project's and shipped", folders[1:]: "shipped"}
    return [f"{said[used]}: {', '.join(names)}" for used, names in groups.items() if used]


def faults_of(one: Registered, templates: Templates) -> list[str]:
    """A sentence for each fault of one type, the first few; the last says how many more there are."""
    faults = faults_in(templates, one.type)
    lacking = [fault for fault in faults if one.replaces and _is_shipped(fault)]
    told = [*unseen(one), *_lacking(one, lacking), *(fault.said for fault in faults if fault not in lacking)]
    if len(told) <= MOST_FAULTS + 1:
        return told
    return [*told[:MOST_FAULTS], f"{one.file}: the templates have {len(told) - MOST_FAULTS} more faults"]


def unseen(one: Registered) -> list[str]:
    """A sentence for each fact and minted value of a type that no template sees."""
    return [f"{one.file}: {clause}" for clause in hidden(one.type)]


def _is_shipped(fault: TemplateFault) -> bool:
    """Whether a shipped template uses a name that the type does not have."""
    file = fault.file
    return bool(fault.unknown) and file is not None and file.is_relative_to(SHIPPED / "templates")


def _lacking(one: Registered, faults: Sequence[TemplateFault]) -> Iterator[str]:
    """The names that a type lacks for the shipped templates, in every language and part, as one sentence."""
    names = sorted({fault.unknown for fault in faults})
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield (
            f"{one.file} replaces the shipped type {one.type.name} and uses its templates, which need "
            f"{', '.join(names[:MOST_NAMES])}{more}: write templates of your own into "
            f"templates/{one.type.name}/, or declare these facts"
        )


def route_faults(types: Iterable[Registered], available: Sequence[Channel]) -> list[str]:
    """A sentence for each word of the types' routes that is served neither by an available provider nor by a
    usual kind of provider."""
    return [
        f"{one.file}: the route names {word}"
        for one in types
        for word in unknown_words(one.type.route, available)
    ]
