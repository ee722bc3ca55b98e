"""`waypost recipients ...`: what is known of a recipient, and forgetting it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from waypost.cli.console import AsJson, columns, print_json
from waypost.ledger import Ledger, checked, people
from waypost.mail.address import key_of_url
from waypost.settings import Settings

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Recipients, each client's own.")

Client = Annotated[
    str, typer.Option(help="The application whose recipient it is; unset, of what came without one.")
]


def _key(given: str) -> str:
    try:
        return key_of_url(given) or given
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Key = Annotated[
    str,
    typer.Argument(
        parser=_key,
        metavar="RECIPIENT",
        help="An id, or mailto:ada@a.example or tel:+4930123456 of a recipient without one.",
    ),
]


@app.command()
def show(recipient: Key, client: Client = "", as_json: AsJson = False) -> None:
    """What is known of a recipient, addresses in full."""
    found = _run(lambda ledger: people.get(ledger, recipient, client))
    if found is None:
        raise _unknown(client)
    if as_json:
        print_json(found)
    else:
        columns((name, "" if value is None else value) for name, value in found.items())


@app.command()
def forget(recipient: Key, client: Client = "", as_json: AsJson = False) -> None:
    """Forget what is known of a recipient. Their notifications stay, without an address; what waits fails."""
    if not _run(lambda ledger: people.forget(ledger, recipient, client)):
        raise _unknown(client)
    if as_json:
        print_json({"id": recipient, "forgotten": True})
    else:
        typer.echo("nothing is known of that recipient any more")


def _unknown(client: str) -> typer.Exit:
    whose = f"of {client}" if client else "that came without a client: name theirs with --client"
    typer.secho(f"waypost: nothing is known of such a recipient {whose}", fg=typer.colors.RED, err=True)
    return typer.Exit(1)


def _run(work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def run() -> T:
        async with checked(Settings()) as ledger:
            return await work(ledger)

    return asyncio.run(run())
