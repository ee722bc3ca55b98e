"""`waypost keys ...`: the API keys that applications use at the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from waypost.cli.output import AsJson, columns, print_json
from waypost.config.settings import Settings
from waypost.gateway.auth import api_keys as text
from waypost.ledger import Ledger, connect_checked
from waypost.ledger.records import api_keys
from waypost.ledger.records.api_keys import ApiKey
from waypost.system.clock import now

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="API keys of the gateway.")


class Ended(RuntimeError):
    """A key that no longer works cannot be rotated. Says what to do."""


def _id(given: str) -> str:
    """A key's id, also from the key itself. Raises typer.BadParameter, which never contains a secret."""
    parts = text.parse_key(given)
    if parts is None and given.startswith("wp_"):
        raise typer.BadParameter("this is no whole key; give its id, which `waypost keys list` shows")
    return parts[0] if parts else given


def _client(given: str) -> str:
    if not text.is_client(given):
        raise typer.BadParameter("a client is small letters a to z, digits and hyphens, 41 at most")
    return given


Id = Annotated[
    str, typer.Argument(parser=_id, metavar="ID", help="The key's id, which is in wp_<id>_<secret>.")
]
_LONGEST_DAYS = 36_500
_LONGEST_HOURS = 8_760


@app.command()
def create(
    client: Annotated[
        str, typer.Argument(parser=_client, metavar="CLIENT", help="The application it is for, such as shop.")
    ],
    scope: Annotated[
        list[str], typer.Option(help="send, read or manage; send:alert is for one type. May be repeated.")
    ] = ["send", "read"],  # noqa: B006 - typer shows the default
    days: Annotated[
        float | None,
        typer.Option(min=0.001, max=_LONGEST_DAYS, help="Days until it expires. Default: never."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Requests a second. Default: any.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It is shown once: only its hash is kept.

    KEY=$(waypost keys create shop) keeps it in a variable.
    """
    try:
        scopes = text.checked_scopes(scope)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from None
    minted = text.mint()
    made = _key(minted, client, scopes, rate, _in_days(days))
    _run(lambda ledger: api_keys.add(ledger, made))
    _show(made, minted, as_json)
    _warn_of_unknown_types(scopes)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key, without its secret."""
    found = _run(api_keys.all_keys)
    if as_json:
        print_json([_described(one) for one in found])
        return
    if not found:
        typer.echo("no keys yet: `waypost keys create my-app` makes one")
        return
    moment = now()
    rows = [
        (
            one.id,
            one.client,
            ",".join(one.scopes),
            f"{one.rate}/s" if one.rate else "-",
            one.created_at,
            _state(one, moment),
        )
        for one in found
    ]
    columns([("id", "client", "scopes", "limit", "created (UTC)", "state"), *rows])


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[
        float, typer.Option(min=0, max=_LONGEST_HOURS, help="Hours for which the old one still works.")
    ] = 24.0,
    days: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=_LONGEST_DAYS,
            help="Days until the new one expires. Default: as many as the old one had.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key that may do the same; the old one works a while longer, so that nothing stops."""
    minted = text.mint()

    async def work(ledger: Ledger) -> tuple[ApiKey, ApiKey]:
        old = await api_keys.find(ledger, id)
        if not old.works(now()):
            raise Ended(f"{id} works no more: make another with `waypost keys create {old.client}`")
        expires_at = _in_days(days) if days is not None else _as_long_as(old)
        made = _key(minted, old.client, old.scopes, old.rate, expires_at)
        return made, await api_keys.rotate(ledger, id, made, timedelta(hours=overlap))

    made, old = _run(work)
    _show(made, minted, as_json)
    if not as_json:
        typer.echo(f"the old one, {id}: {_state(old, now())}", err=True)


@app.command()
def revoke(id: Id, as_json: AsJson = False) -> None:
    """Revoke a key. It stops working within a second."""
    ended = _run(lambda ledger: api_keys.end(ledger, id))
    if as_json:
        print_json(_described(ended))
    else:
        typer.echo(f"{id} of {ended.client} is revoked")


def _run(work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def main() -> T:
        async with connect_checked(Settings()) as ledger:
            return await work(ledger)

    return asyncio.run(main())


def _key(
    minted: text.Minted, client: str, scopes: list[str], rate: int | None, expires_at: datetime | None
) -> ApiKey:
    return ApiKey(minted.id, client, scopes, rate, now(), expires_at, None, minted.secret_hash)


def _as_long_as(old: ApiKey) -> datetime | None:
    """The expiry of a key made now with the same lifetime as `old`; None for never."""
    return None if old.expires_at is None else now() + (old.expires_at - old.created_at)


def _in_days(days: float | None) -> datetime | None:
    return None if days is None else now() + timedelta(days=days)


def _show(made: ApiKey, minted: text.Minted, as_json: bool) -> None:
    if as_json:
        print_json({**_described(made), "key": minted.text})
        return
    typer.echo(minted.text)
    typer.echo(
        f"for {made.client}, which may: {', '.join(made.scopes)}. It is shown this once; send it as "
        "`Authorization: Bearer wp_...`",
        err=True,
    )


def _warn_of_unknown_types(scopes: list[str]) -> None:
    """Warn of scopes for unknown types: such a scope may be misspelt, or its type not written yet."""
    wanted = {scope.partition(":")[2] for scope in scopes} - {""}
    if not wanted:
        return
    from deployments.registry import registered  # it loads Prefect, which takes seconds

    for type in sorted(wanted - registered().keys()):
        typer.echo(
            f"there is no type {type} (there are {', '.join(sorted(registered()))}): the key may do nothing "
            "with it until there is",
            err=True,
        )


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
