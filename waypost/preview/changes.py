"""Whether a file that a preview shows has changed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from waypost.rendering.template_files import stamp


def state_of(folders: Sequence[Path]) -> str:
    """Changes whenever a file in the folders is written, added or removed: templates, samples, catalogues."""
    files = sorted(file for folder in folders for file in folder.rglob("*"))
    return sha256(
        "\n".join(f"{file} {stamp(file)}" for file in files).encode(errors="surrogateescape")
    ).hexdigest()[:16]
