"""The shipped types by name, and their sample facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from waypost.rendering.samples import sample_of

REPOSITORY = Path(__file__).parents[2]
SHIPPED = {
    file.stem.replace("_", "-") for file in (REPOSITORY / "flows").glob("*.py") if file.stem != "__init__"
}
COMPOSED = {"digest"}  # cannot be requested


def sample(name: str) -> dict[str, Any]:
    """The facts with which a preview shows the type."""
    return sample_of(name, [REPOSITORY / "templates"], "Shop <post@shop.example>").facts
