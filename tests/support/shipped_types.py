"""The shipped types by name, and their sample facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SHIPPED = {
    file.stem.replace("_", "-") for file in (REPOSITORY / "flows").glob("*.py") if file.stem != "__init__"
}
COMPOSED = {"digest"}  # cannot be requested


def sample(name: str) -> dict[str, Any]:
    """The facts with which a preview shows the type."""
    file = REPOSITORY / "templates" / name / "sample.json"
    return json.loads(file.read_text(encoding="utf-8"))["facts"]
