"""What a check of templates finds, and the same finding of several types and languages said once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """FAULT: readers see a broken mail, or none. NOTE: worth a look; the mail works."""

    FAULT = "fault"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """said: what is wrong and what to do, separated by a semicolon. file: its name in messages. line: 0 if it
    is unknown."""

    level: Level
    file: str
    line: int
    said: str

    @property
    def place(self) -> str:
        """`templates/alert/body.mjml:12`, or the file alone."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Grouped:
    """A finding with all types and locales that have it. Without locales: of the templates themselves."""

    finding: Finding
    types: tuple[str, ...]
    locales: tuple[str, ...]


Found = tuple[str, str, Finding]  # the type, the locale or an empty text, and the finding


def grouped(found: Iterable[Found]) -> list[Grouped]:
    """Each finding once, faults first, else in the order in which they were found."""
    types: dict[Finding, dict[str, None]] = {}
    locales: dict[Finding, dict[str, None]] = {}
    for type, locale, finding in found:
        types.setdefault(finding, {}).update({type: None} if type else {})
        locales.setdefault(finding, {}).update({locale: None} if locale else {})
    groups = [Grouped(one, tuple(types[one]), tuple(sorted(locales[one]))) for one in types]
    return sorted(groups, key=lambda group: group.finding.level)


_SENTENCE = re.compile(r"(?P<file>\S+?)(?:, line (?P<line>\d+))?: (?P<said>.*)", re.DOTALL)


def of_sentence(sentence: str) -> Finding:
    """A fault that `template_check` tells as a sentence: `templates/alert/body.txt, line 2: ...`."""
    found = _SENTENCE.fullmatch(sentence)
    if found is None or "/" not in found["file"]:
        return Finding(Level.FAULT, "", 0, sentence)
    return Finding(Level.FAULT, found["file"], int(found["line"] or 0), found["said"])
