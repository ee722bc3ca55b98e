"""`waypost recipients ...`: what is known of a recipient, and forgetting it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from waypost.cli.asking import Yes, ask
from waypost.cli.clients import check_client
from waypost.cli.output import AsJson, columns, print_json
from waypost.cli.with_ledger import with_ledger
from waypost.ledger import Ledger
from waypost.ledger.records import recipients
from waypost.mail.address import key_of_url

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Read and forget recipients; each client has its own.")

Client = Annotated[
    str, typer.Option(help="Application that the recipient belongs to; unset, of requests without a key.")
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
        help="Id, or mailto:ada@a.example or tel:+4930123456 for a recipient without an id.",
    ),
]


@app.command()
def show(recipient: Key, client: Client = "", as_json: AsJson = False) -> None:
    """Show a recipient, addresses in full."""
    found = _run(client, lambda ledger: recipients.get(ledger, recipient, client))
    if found is None:
        raise _unknown(client)
    if as_json:
        print_json(found)
    else:
        columns((name, "" if value is None else value) for name, value in found.items())


@app.command()
def forget(recipient: Key, client: Client = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a recipient's addresses; count and ask first.

    The recipient's notifications stay, without an address. Notifications that wait fail when their turn
    comes."""
    waiting = _run(client, lambda ledger: _forget(ledger, recipient, client, yes))
    if waiting is None:
        raise _unknown(client)
    if as_json:
        print_json({"id": recipient, "forgotten": True, "waiting": waiting})
    else:
        typer.echo("nothing is known of that recipient any more")


async def _forget(ledger: Ledger, recipient: str, client: str, yes: bool) -> int | None:
    """Forget a recipient. Return how many notifications waited for it; None if nothing was known."""
    if await recipients.get(ledger, recipient, client) is None:
        return None
    waiting = await recipients.waiting(ledger, recipient, client)
    typer.echo(_doomed(waiting), err=True)
    if not yes:
        ask("forget this recipient?", "nothing was forgotten, as there is no terminal to ask at: add --yes")
    await recipients.forget(ledger, recipient, client)
    return waiting


def _doomed(waiting: int) -> str:
    match waiting:
        case 0:
            return "no notification waits for this recipient"
        case 1:
            return "1 notification waits for this recipient: it fails when its turn comes"
        case _:
            return f"{waiting} notifications wait for this recipient: each fails when its turn comes"


def _unknown(client: str) -> typer.Exit:
    whose = f"of {client}" if client else "that came without a client: name theirs with --client"
    typer.secho(f"waypost: nothing is known of such a recipient {whose}", fg=typer.colors.RED, err=True)
    return typer.Exit(1)


def _run(client: str, work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def checked(ledger: Ledger) -> T:
        await check_client(ledger, client)
        return await work(ledger)

    return with_ledger(checked)
