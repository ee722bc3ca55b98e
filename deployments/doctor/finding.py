"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` says what to do, and is there whenever it is not ok."""

    what: str
    ok: bool
    found: str
    advice: str = ""
