"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. advice: what to do; always given when the result is not ok."""

    what: str
    ok: bool
    found: str
    advice: str = ""
