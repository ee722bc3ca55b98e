"""The keys that WAYPOST_DATA_KEYS names, itself or in a file."""

from __future__ import annotations

from pathlib import Path

from waypost.system.key_ring import DataKey, parse

_FILE = "file:"


def named_keys(text: str) -> list[DataKey]:
    """The keys that a value of WAYPOST_DATA_KEYS names. Raises ValueError, whose text never repeats a key."""
    if not text.startswith(_FILE):
        return parse(text)
    path = Path(text.removeprefix(_FILE).strip())
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}") from None
