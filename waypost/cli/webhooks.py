"""`waypost webhooks ...`: the URLs that the states of an application's notifications are posted to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar, get_args
from uuid import UUID

import typer

from waypost.cli.clients import check_client
from waypost.cli.output import AsJson, columns, print_json
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.ledger import Ledger, connect_checked
from waypost.ledger.records import webhooks
from waypost.ledger.records.webhooks import ENDS, Webhook

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Webhooks of the gateway's clients.")

Id = Annotated[UUID, typer.Argument(help="The webhook's id; `waypost webhooks list` shows it.")]


@app.command()
def create(
    client: Annotated[str, typer.Argument(help="The application whose notifications it is told of.")],
    url: Annotated[str, typer.Argument(help="https://, where states are posted.")],
    state: Annotated[list[str], typer.Option(help="What it is told of. May be repeated.")] = [  # noqa: B006 - typer shows the default
        str(one) for one in ENDS
    ],
    as_json: AsJson = False,
) -> None:
    """Post the states of an application's notifications to a URL, signed with the secret shown."""
    from waypost.gateway.auth.api_keys import is_client
    from waypost.gateway.http.webhook_request import Told

    if not is_client(client):
        raise typer.BadParameter("a client is small letters a to z, digits and hyphens, 41 at most")
    if wrong := [one for one in state if one not in get_args(Told)]:
        raise typer.BadParameter(
            f"no state is {wrong[0]!r}: {', '.join(get_args(Told))}", param_hint="--state"
        )
    settings = Settings()
    _check(url, settings)
    made = _run(lambda ledger: _create(ledger, settings, client, url, state))
    _show(made, settings, as_json)


async def _create(ledger: Ledger, settings: Settings, client: str, url: str, states: list[str]) -> Webhook:
    await check_client(ledger, client)
    return await webhooks.create(ledger, secret_key(settings), client, url, states)


@app.command("list")
def list_webhooks(
    client: Annotated[str | None, typer.Option(help="Of this application alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every webhook, without its secret."""
    found = _run(lambda ledger: webhooks.every(ledger, client))
    if as_json:
        print_json([_described(one) for one in found])
        return
    if not found:
        typer.echo("no webhooks yet: `waypost webhooks create my-app https://...` makes one")
        return
    rows = [(one.id, one.client, ",".join(one.states), one.created_at, _state(one), one.url) for one in found]
    columns([("id", "client", "states", "created (UTC)", "state", "url"), *rows])


@app.command()
def delete(id: Id, as_json: AsJson = False) -> None:
    """Delete a webhook. Its undelivered events are discarded."""
    _run(lambda ledger: webhooks.delete(ledger, id))
    if as_json:
        print_json({"id": id, "deleted": True})
    else:
        typer.echo(f"{id} is told nothing any more")


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[
        float, typer.Option(min=0, max=8760, help="Hours for which the old one signs too.")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Make a new secret; the old one signs a while longer, so that nothing is missed."""
    settings, again = Settings(), timedelta(hours=overlap)
    made = _run(lambda ledger: webhooks.rotate(ledger, secret_key(settings), id, overlap=again))
    _show(made, settings, as_json)
    if not as_json:
        typer.echo(f"for {overlap:g} hours what is told is signed with the old one too", err=True)


def _check(url: str, settings: Settings) -> None:
    from waypost.gateway.http.webhook_request import check_place

    try:
        check_place(url, settings.webhooks_allow_private)
    except ValueError as error:
        allowed = settings.webhooks_allow_private
        hint = "" if allowed else " (WAYPOST_WEBHOOKS_ALLOW_PRIVATE=true lets webhooks go to this machine)"
        raise typer.BadParameter(f"{error}{hint}", param_hint="URL") from None


def _run(work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def main() -> T:
        async with connect_checked(Settings()) as ledger:
            return await work(ledger)

    return asyncio.run(main())


def _show(made: Webhook, settings: Settings, as_json: bool) -> None:
    """Print the secret. It is not stored, but derived from Waypost's secret key."""
    from waypost.gateway.webhooks.secrets import secret

    text = secret(secret_key(settings), made)
    if as_json:
        print_json({**_described(made), "secret": text})
        return
    typer.echo(text)
    typer.echo(f"of {made.id} for {made.client}, told when: {', '.join(made.states)}", err=True)


def _described(one: Webhook) -> dict[str, Any]:
    return {
        "id": one.id,
        "client": one.client,
        "url": one.url,
        "states": one.states,
        "created_at": one.created_at,
        "overlap_until": one.overlap_until,
        "gone_at": one.gone_at,
        "failing_since": one.failing_since,
        "state": _state(one),
    }


def _state(one: Webhook) -> str:
    if one.gone_at:
        return f"gone since {one.gone_at:%Y-%m-%d %H:%M} UTC"
    return f"failing since {one.failing_since:%Y-%m-%d %H:%M} UTC" if one.failing_since else "works"
