"""Alembic, run from code: the migrations ship inside the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration for the packaged migrations, bound to `connection`."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["connection"] = connection
    return made


@cache
def head() -> str:
    """The revision this version of Waypost needs."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package has no migrations: it was not installed whole")
    return revision


def upgrade(connection: sa.Connection) -> None:
    """Run every migration not yet run, inside the caller's transaction."""
    command.upgrade(config(connection), "head")
