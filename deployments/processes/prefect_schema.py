"""The tables of an empty Prefect database, for the first start of the embedded server.

prefect_schema.sql has what Prefect's own migrations make of an empty file: some hundred steps, which take
half of a first start. It is used with the version of Prefect that made it, and with no other: then Prefect
makes its tables itself. tests/support/empty_prefect.py writes it anew.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

SCHEMA = Path(__file__).with_suffix(".sql")


def heading(prefect: str) -> str:
    """The first line of the file that a version of Prefect made."""
    return f"-- The tables of Prefect {prefect}."


def lay(file: Path) -> None:
    """Make `file` an empty Prefect database, unless it is there. A start that is killed meanwhile leaves no
    half of it."""
    if file.exists():
        return
    text = SCHEMA.read_text("utf-8")
    if text.partition("\n")[0] != heading(version("prefect")):
        return
    making = file.with_name(f"{file.name}.making")
    making.unlink(missing_ok=True)
    with closing(sqlite3.connect(making)) as connection:
        connection.executescript(text)
    making.rename(file)
