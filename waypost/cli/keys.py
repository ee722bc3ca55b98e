"""`waypost keys ...`: the API keys that applications come to the gateway with."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from waypost.cli.console import AsJson, columns, print_json
from waypost.clock import now
from waypost.gateway import keys as text
from waypost.ledger import Ledger, api_keys, checked
from waypost.ledger.api_keys import ApiKey
from waypost.settings import Settings

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="API keys of the gateway.")

Id = Annotated[str, typer.Argument(help="The key's id, which is in wp_<id>_<secret>.")]
Days = Annotated[float | None, typer.Option(min=0.001, help="Days until it expires. Default: never.")]

_CLIENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,39}[a-z0-9])?\Z")


@app.command()
def create(
    client: Annotated[str, typer.Argument(help="The application it is for, such as shop.")],
    scope: Annotated[
        list[str], typer.Option(help="send, read or manage; send:alert is for one type. May be repeated.")
    ] = ["send", "read"],  # noqa: B006 - typer shows the default
    days: Days = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Requests a second. Default: any.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    if not _CLIENT.match(client):
        raise typer.BadParameter("a client is small letters a to z, digits and hyphens, 41 at most")
    try:
        scopes = text.checked_scopes(scope)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from None
    minted = text.mint()
    made = _key(minted, client, scopes, rate, _in_days(days))
    _run(lambda ledger: api_keys.add(ledger, made))
    _show(made, minted, as_json)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key, without its secret."""
    found = _run(api_keys.every)
    if as_json:
        print_json([_described(one) for one in found])
        return
    if not found:
        typer.echo("no keys yet: `waypost keys create my-app` makes one")
        return
    moment = now()
    rows = [(one.id, one.client, ",".join(one.scopes), one.created_at, _state(one, moment)) for one in found]
    columns([("ID", "CLIENT", "SCOPES", "CREATED", "STATE"), *rows])


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[float, typer.Option(min=0, help="Hours for which the old one still works.")] = 24.0,
    days: Days = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key that may do the same; the old one works a while longer, so that nothing stops."""
    minted = text.mint()

    async def work(ledger: Ledger) -> ApiKey:
        old = await api_keys.find(ledger, id)
        if not old.works(now()):
            raise typer.BadParameter(f"{id} works no more: make a new one with `waypost keys create`")
        made = _key(minted, old.client, old.scopes, old.rate, _in_days(days))
        await api_keys.add(ledger, made)
        await api_keys.end(ledger, id, timedelta(hours=overlap))
        return made

    made = _run(work)
    _show(made, minted, as_json)
    if not as_json:
        typer.echo(f"{id} works {overlap:g} hours longer")


@app.command()
def revoke(id: Id, as_json: AsJson = False) -> None:
    """End a key: within a second it opens nothing."""
    ended = _run(lambda ledger: api_keys.end(ledger, id))
    if as_json:
        print_json(_described(ended))
    else:
        typer.echo(f"{id} of {ended.client} is revoked")


def _run(work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def main() -> T:
        async with checked(Settings()) as ledger:
            return await work(ledger)

    return asyncio.run(main())


def _key(
    minted: text.Minted, client: str, scopes: list[str], rate: int | None, expires_at: datetime | None
) -> ApiKey:
    return ApiKey(minted.id, client, scopes, rate, now(), expires_at, None, minted.secret_hash)


def _in_days(days: float | None) -> datetime | None:
    return None if days is None else now() + timedelta(days=days)


def _show(made: ApiKey, minted: text.Minted, as_json: bool) -> None:
    if as_json:
        print_json({**_described(made), "key": minted.text})
        return
    typer.echo(f"{minted.text}")
    typer.echo(f"for {made.client}, which may: {', '.join(made.scopes)}. It is shown this once.", err=True)


def _described(one: ApiKey) -> dict[str, Any]:
    return {
        "id": one.id,
        "client": one.client,
        "scopes": one.scopes,
        "rate": one.rate,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
        "state": _state(one, now()),
    }


def _state(one: ApiKey, moment: datetime) -> str:
    if one.works(moment):
        ends = min((end for end in (one.expires_at, one.revoked_at) if end), default=None)
        return f"works until {ends:%Y-%m-%d %H:%M} UTC" if ends else "works"
    return "revoked" if one.revoked_at and one.revoked_at <= moment else "expired"
