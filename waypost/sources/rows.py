"""A row of a source, and the failure of a whole source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AT_ONCE = 500  # rows read, and requests accepted, at once
LONGEST = 64 * 1024  # bytes of a line, without its end


class SourceFailed(Exception):
    """A source cannot be read, from its beginning or from some row on. Says why, without any value of a row,
    and never with a password."""


@dataclass(frozen=True, slots=True)
class Row:
    """place: where it is, `members.csv, line 7`. values: by column. wrong: why it cannot be read; it then has
    no values."""

    place: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    wrong: str = ""


def column(name: str) -> str:
    """The name of a column as facts are named: `Expires on` is `expires_on`."""
    return "_".join(name.strip().lower().split())
