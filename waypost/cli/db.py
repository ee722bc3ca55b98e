"""`waypost db`: the ledger's schema."""

from __future__ import annotations

import asyncio

import typer

from waypost.cli.console import out
from waypost.ledger import migrate, opened
from waypost.settings import Settings, prepare_home

app = typer.Typer(no_args_is_help=True, help="The ledger's database.")


@app.callback()
def _db() -> None: ...


@app.command()
def upgrade() -> None:
    """Bring the ledger's schema to this version. Safe to run again."""
    settings = Settings()
    prepare_home(settings)

    async def run() -> None:
        async with opened(settings) as ledger:
            await ledger.upgrade()

    asyncio.run(run())
    out.print(f"the ledger is at revision {migrate.head()}")
