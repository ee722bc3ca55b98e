"""Alembic, run from code: the migrations ship inside the package.

Alembic is imported only to migrate: every command checks the schema's version, and the import would take a
seventh of the time of a short command.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = sa.table("alembic_version", sa.column("version_num"))


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration for the packaged migrations, bound to `connection`."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(_MIGRATIONS))
    made.attributes["connection"] = connection
    return made


@cache
def head() -> str:
    """The revision this version of Waypost needs: its migrations are numbered, each after the one before."""
    numbers = [path.stem.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")]
    if not numbers:
        raise RuntimeError("the package has no migrations: it was not installed completely")
    return max(numbers)


def revision(connection: sa.Connection) -> str | None:
    """The revision of the schema that is there; None without one."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(sa.select(_VERSION.c.version_num))


def upgrade(connection: sa.Connection) -> None:
    """Run every migration not yet run, inside the caller's transaction."""
    from alembic import command

    command.upgrade(config(connection), "head")
