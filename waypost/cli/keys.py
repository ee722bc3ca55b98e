"""`waypost keys ...`: the API keys of the gateway's clients."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from waypost.cli.app import App
from waypost.cli.columns import Column, print_columns
from waypost.cli.output import AsJson, print_json
from waypost.cli.with_ledger import with_ledger
from waypost.config.settings import Settings
from waypost.gateway.auth import key_format as text
from waypost.ledger import Ledger
from waypost.ledger.records import api_keys
from waypost.ledger.records.api_keys import ApiKey
from waypost.mail.only_to import parsed
from waypost.model.brand import no_such_brand
from waypost.model.client_name import is_client
from waypost.system.clock import now

app = App(help="Manage the gateway's API keys.")
_COLUMNS = (
    Column("id"),
    Column("client", cut=True),
    Column("scopes", rank=1, cut=True),
    Column("limit", rank=2),
    Column("created (UTC)", rank=3),
    Column("state", cut=True, style=lambda state: "green" if state.startswith("works") else "red"),
    # Left out if no key has one.
    Column("brand", rank=4, cut=True),
    Column("only to", rank=4, cut=True),
)


class Ended(RuntimeError):
    """A key that no longer works cannot be rotated. Says what to do."""


def _id(given: str) -> str:
    """A key's id, also from the key itself. Raises typer.BadParameter, which tells no secret."""
    parts = text.parse_key(given)
    if parts is None and given.startswith("wp_"):
        raise typer.BadParameter("not a complete key: give its id, which `waypost keys list` shows")
    return parts[0] if parts else given


def _client(given: str) -> str:
    if not is_client(given):
        raise typer.BadParameter("use small letters a to z, digits and hyphens, 41 at most")
    return given


Id = Annotated[
    str, typer.Argument(parser=_id, metavar="ID", help="Id of the key: the part after wp_, up to the next _.")
]
CANNOT_BE_READ = "not valid: its row in the ledger cannot be read"
_LONGEST_DAYS = 36_500
_LONGEST_HOURS = 8_760


@app.command()
def create(
    client: Annotated[
        str,
        typer.Argument(parser=_client, metavar="CLIENT", help="Application that uses the key, such as shop."),
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            metavar="SCOPE",
            help="What the key allows: send, read or manage; send:alert for one type. Repeatable.",
        ),
    ] = ["send", "read"],  # noqa: B006 - typer shows the default
    days: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=_LONGEST_DAYS, metavar="DAYS", help="Days until the key expires. Default: never."
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, metavar="N", help="Most requests per second. Default: no limit."),
    ] = None,
    brand: Annotated[
        str | None,
        typer.Option(metavar="BRAND", help="The only brand that its requests are for. Default: any."),
    ] = None,
    only_to: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESSES",
            help="The only addresses that its requests may go to, separated by commas; @shop.example is a "
            "whole domain. For tests and teams. Default: any.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key, and print it this once.

    Waypost keeps only the key's hash. `KEY=$(waypost keys create shop)` stores the key in a variable.
    """
    try:
        scopes = text.checked_scopes(scope)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from None
    _check_types(scopes)
    minted = text.mint()
    made = _key(minted, client, scopes, rate, _in_days(days), brand, _only_to(only_to))

    async def add(ledger: Ledger) -> None:
        if brand is not None:
            await _check_brand(ledger, brand)
        await api_keys.add(ledger, made)

    with_ledger(add)
    _show(made, minted, as_json)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List keys, without secrets."""
    found = with_ledger(api_keys.all_keys)
    if as_json:
        print_json([*map(_described, found.keys), *map(_described_damaged, found.damaged)])
        return
    if not found.keys and not found.damaged:
        typer.echo("no keys yet: create one with `waypost keys create my-app`")
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
            one.brand or "-",
            ",".join(one.only_to or ()) or "-",
        )
        for one in found.keys
    ]
    damaged = [(id, "?", "?", "?", "?", CANNOT_BE_READ, "?", "?") for id in found.damaged]
    left_out = {
        "brand": not any(one.brand for one in found.keys),
        "only to": not any(one.only_to for one in found.keys),
    }
    shown = [number for number, column in enumerate(_COLUMNS) if not left_out.get(column.title)]
    print_columns(
        [_COLUMNS[number] for number in shown],
        [[row[number] for number in shown] for row in (*rows, *damaged)],
    )


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[
        float,
        typer.Option(
            min=0, max=_LONGEST_HOURS, metavar="HOURS", help="Hours during which the old key still works."
        ),
    ] = 24.0,
    days: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=_LONGEST_DAYS,
            metavar="DAYS",
            help="Days until the new key expires. Default: as for the old key.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new key with the same scopes, brand and addresses.

    The old key works for some hours longer.
    """
    minted = text.mint()

    async def work(ledger: Ledger) -> tuple[ApiKey, ApiKey]:
        old = await api_keys.find(ledger, id)
        if not old.works(now()):
            raise Ended(f"key {id} no longer works: create a new key with `waypost keys create {old.client}`")
        expires_at = _in_days(days) if days is not None else _as_long_as(old)
        made = _key(minted, old.client, old.scopes, old.rate, expires_at, old.brand, old.only_to)
        return made, await api_keys.rotate(ledger, id, made, timedelta(hours=overlap))

    made, old = with_ledger(work)
    _show(made, minted, as_json)
    if not as_json:
        typer.echo(f"old key {id}: {_state(old, now())}", err=True)


@app.command()
def revoke(id: Id, as_json: AsJson = False) -> None:
    """Revoke a key, with effect within a second."""
    ended = with_ledger(lambda ledger: api_keys.end(ledger, id))
    if as_json:
        print_json(_described(ended))
    else:
        typer.echo(f"key {id} (client {ended.client}): revoked")


async def _check_brand(ledger: Ledger, name: str) -> None:
    """Raise typer.BadParameter unless the brand exists: every request with the key would be refused."""
    from waypost.delivery.added_brands import all_brands

    known = await all_brands(Settings(), ledger)
    if name not in known:
        raise typer.BadParameter(no_such_brand(name, known), param_hint="--brand")


def _key(
    minted: text.Minted,
    client: str,
    scopes: list[str],
    rate: int | None,
    expires_at: datetime | None,
    brand: str | None,
    only_to: list[str] | None,
) -> ApiKey:
    return ApiKey(
        minted.id, client, scopes, rate, now(), expires_at, None, minted.secret_hash, brand, only_to
    )


def _only_to(given: str | None) -> list[str] | None:
    """Raises typer.BadParameter."""
    if given is None:
        return None
    try:
        entries = [parsed(one) for one in given.split(",") if one.strip()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--only-to") from None
    if not entries:
        raise typer.BadParameter("it names no address", param_hint="--only-to")
    return sorted(set(entries))


def _as_long_as(old: ApiKey) -> datetime | None:
    """When a new key expires that works as long as `old` did."""
    return None if old.expires_at is None else now() + (old.expires_at - old.created_at)


def _in_days(days: float | None) -> datetime | None:
    return None if days is None else now() + timedelta(days=days)


def _show(made: ApiKey, minted: text.Minted, as_json: bool) -> None:
    if as_json:
        print_json({**_described(made), "key": minted.text})
        return
    typer.echo(minted.text)
    typer.echo(
        f"key of {made.client}; scopes: {', '.join(made.scopes)}. It is not shown again. Send it as "
        "`Authorization: Bearer wp_...`",
        err=True,
    )


def _check_types(scopes: list[str]) -> None:
    """Raise typer.BadParameter for a scope whose type does not exist: such a key would allow nothing."""
    wanted = {scope.partition(":")[2] for scope in scopes} - {""}
    if not wanted:
        return
    from waypost.deployments.registry import registered  # it loads Prefect, which takes seconds

    if unknown := sorted(wanted - registered().keys()):
        known = ", ".join(sorted(registered()))
        told = f"there is no type {' or '.join(unknown)}; there are {known}. No key was created"
        raise typer.BadParameter(told, param_hint="--scope")


def _described(one: ApiKey) -> dict[str, Any]:
    return {
        "id": one.id,
        "client": one.client,
        "scopes": one.scopes,
        "rate": one.rate,
        "brand": one.brand,
        "only_to": one.only_to,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
        "state": _state(one, now()),
    }


def _described_damaged(id: str) -> dict[str, Any]:
    unknown = dict.fromkeys(
        ("client", "scopes", "rate", "brand", "only_to", "created_at", "expires_at", "revoked_at")
    )
    return {"id": id, **unknown, "state": CANNOT_BE_READ}


def _state(one: ApiKey, moment: datetime) -> str:
    if one.works(moment):
        ends = min((end for end in (one.expires_at, one.revoked_at) if end), default=None)
        return f"works until {ends:%Y-%m-%d %H:%M} UTC" if ends else "works"
    return "revoked" if one.revoked_at and one.revoked_at <= moment else "expired"
