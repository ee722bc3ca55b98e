"""`waypost db`: the ledger's schema."""

from __future__ import annotations

import asyncio

import typer

from waypost.cli.app import App
from waypost.cli.asking import Refused, Yes, ask
from waypost.cli.output import out
from waypost.config.data_keys import key_ring
from waypost.config.instance import AlreadyRunning, only_one
from waypost.config.secret_key import is_unshared, secret_key
from waypost.config.settings import Settings, prepare_home
from waypost.ledger import connect_checked, open_ledger
from waypost.ledger.database import migrate
from waypost.ledger.database.open_elsewhere import open_elsewhere
from waypost.ledger.records import installation, resealing
from waypost.system.key_ring import written

app = App(help="Upgrade the ledger's database, or manage its keys.")


@app.command()
def upgrade() -> None:
    """Upgrade the ledger's schema, or create an empty ledger.

    You can run it again at any time.
    """
    settings = Settings()
    prepare_home(settings)

    asyncio.run(_upgrade(settings))
    out.print(f"the ledger is at revision {migrate.head()}")


async def _upgrade(settings: Settings) -> None:
    # Opened without its home: this command may make a new ledger where one was lost.
    ledger = open_ledger(settings.ledger_url, settings.lease, ring=lambda: key_ring(settings))
    try:
        await ledger.upgrade()
    finally:
        await ledger.close()


@app.command("data-keys")
def data_keys() -> None:
    """Print the keys of personal data, as WAYPOST_DATA_KEYS has them, the newest first.

    Keep a copy apart from backups of the ledger: without these keys nobody can read the personal data in it.
    """
    ring = key_ring(Settings())
    if ring.newest is None:
        raise Refused("personal data is not encrypted: set WAYPOST_SECRET_KEY or WAYPOST_DATA_KEYS")
    for key in ring.keys:
        typer.echo(written(key))


@app.command("change-key")
def change_key(yes: Yes = False) -> None:
    """Give the ledger the secret key of this machine.

    Stop every process of Waypost first. Codes and links that were sent stop working. Every webhook gets a new
    secret, which `waypost webhooks rotate ID` shows.
    """
    settings = Settings()
    if is_unshared(settings):
        raise Refused("the key was not changed: set WAYPOST_SECRET_KEY, which all machines on a ledger share")
    try:
        with only_one(prepare_home(settings)):
            changed = asyncio.run(_change_key(settings, yes))
    except AlreadyRunning as error:
        raise Refused(f"the key was not changed: {error.found}; stop it first") from None
    if not changed:
        out.print("the ledger already has this key; nothing was changed")
        return
    out.print("the ledger has this key now; every webhook has a new secret")


async def _change_key(settings: Settings, yes: bool) -> bool:
    """Change the key. Return whether it was another key before."""
    async with connect_checked(settings) as ledger:
        key = secret_key(settings)
        if await installation.is_key(ledger, key):
            return False
        if places := [*await open_elsewhere(ledger), *await installation.at_work(ledger)]:
            raise Refused(
                f"the key was not changed: the ledger is in use at {', '.join(places)}; stop every process "
                "of Waypost first"
            )
        if lost := await resealing.missing(ledger):
            raise Refused(
                f"the key was not changed: personal data is encrypted with {', '.join(lost)}, which only the "
                "former secret key gives. Run `waypost db data-keys` with the former key, add what it prints "
                "to WAYPOST_DATA_KEYS, and try again"
            )
        if not yes:
            ask(
                "Codes and links that were sent stop working. Change the key?",
                "the key was not changed, as there is no terminal to ask at: add --yes",
            )
        await installation.change_key(ledger, key)
    return True
