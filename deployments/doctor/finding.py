"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ok: works. note: works, with something to know or to do. bad: a fault."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. advice: what to do; always given when the result is not ok. An ok result with
    advice is a note."""

    what: str
    ok: bool
    found: str
    advice: str = ""

    @property
    def level(self) -> Level:
        if not self.ok:
            return Level.BAD
        return Level.NOTE if self.advice else Level.OK
