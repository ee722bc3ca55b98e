"""Names the folders of languages that no recipient ever gets, because their name is not a locale as Waypost
writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from waypost.model.locale import known_locale, locales
from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import FOLDER, babel_name
from waypost.rendering.checks.finding import Finding, Level
from waypost.rendering.live_templates import with_parents
from waypost.rendering.template_files import PARTS, TemplateFiles


def misnamed_catalogues(files: TemplateFiles) -> list[Finding]:
    """The folders in `_locales/` that are not read, or for no recipient. gettext writes `pt_BR`."""
    return [
        _finding(f"templates/{FOLDER}/{path.name}", path.name, babel_name)
        for folder in files.folders
        for path in _subfolders(folder / FOLDER)
        if "-" in path.name or not _is_reached(path.name.replace("_", "-"))
    ]


def misnamed_parts(files: TemplateFiles, type: NotificationType) -> list[Finding]:
    """The folders of a type that have parts for a language, and no recipient gets it."""
    if type.finished is not None:  # its mails use no template
        return []
    return [
        _finding(f"templates/{type.name}/{path.name}", path.name, str)
        for folder in files.folders
        for path in _subfolders(folder / type.name)
        if not _is_reached(path.name) and any((path / part).is_file() for part in PARTS)
    ]


def _finding(file: str, name: str, written: Callable[[str], str]) -> Finding:
    """written: how a locale is written in a name of such a folder."""
    if meant := _meant(name):
        said = f"no recipient gets this language, as {name} is not how it is written"
        return Finding(Level.FAULT, file, 0, f"{said}; rename it to {written(meant)}")
    said = f"{name} is no locale, so no recipient gets what is in this folder"
    return Finding(Level.NOTE, file, 0, f"{said}; name it for one, such as de or {written('pt-BR')}")


def _meant(name: str) -> str:
    """The locale that a name means: pt-BR for pt_BR and for pt_BR.UTF-8; empty if it means none."""
    stem = re.split("[.@]", name)[0].replace("_", "-")
    if _is_reached(stem):
        return stem
    with suppress(ValueError):
        return known_locale(stem)
    return ""


def _is_reached(lang: str) -> bool:
    """Whether some recipient gets a language: their locale is it, or a kind of it."""
    with suppress(ValueError):
        return lang in _reached() or known_locale(lang) == lang
    return False


@cache
def _reached() -> frozenset[str]:
    return frozenset(lang for locale in locales() for lang in with_parents(locale))


def _subfolders(folder: Path) -> Iterator[Path]:
    with suppress(OSError):  # the check tells of a folder that cannot be read
        yield from sorted(path for path in folder.glob("[!.]*") if path.is_dir())
