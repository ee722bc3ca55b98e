"""`waypost db`: the ledger's schema."""

from __future__ import annotations

import asyncio
import sys

import typer

from waypost.cli.console import out
from waypost.cli.intervene import Refused, Yes
from waypost.ledger import checked, installation, migrate, opened
from waypost.secret import secret_key
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


@app.command("change-key")
def change_key(yes: Yes = False) -> None:
    """Make this process's secret key the ledger's. Stop every process of Waypost first.

    Codes and links that were sent stop working. Each webhook signs with another secret from then on:
    `waypost webhooks rotate ID` shows it.
    """
    settings = Settings()
    if settings.database_url is not None and settings.secret_key is None:
        raise Refused("the key was not changed: set WAYPOST_SECRET_KEY, which all machines on a ledger share")
    if not asyncio.run(_change_key(settings, yes)):
        out.print("the ledger's key is this process's key already; nothing was changed")
        return
    out.print("the ledger's key is this process's key now, and webhooks have other secrets")


async def _change_key(settings: Settings, yes: bool) -> bool:
    """Whether there was anything to change."""
    key = secret_key(settings)
    async with checked(settings) as ledger:
        if await installation.is_key(ledger, key):
            return False
        if not yes:
            _ask()
        await installation.change_key(ledger, key)
    return True


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Refused("the key was not changed, as there is no terminal to ask at: add --yes")
    typer.confirm("codes and links that were sent stop working; change the key?", abort=True, err=True)
