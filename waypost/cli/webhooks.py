"""`waypost webhooks ...`: the URLs that receive the states of an application's notifications."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, get_args
from uuid import UUID

import typer

from waypost.cli.app import App
from waypost.cli.clients import check_client
from waypost.cli.columns import Column, print_columns
from waypost.cli.ids import given_id, shown_id
from waypost.cli.output import AsJson, print_json
from waypost.cli.with_ledger import with_ledger
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.operations.short_ids import ShortId, webhook_id
from waypost.ledger.records import webhooks
from waypost.ledger.records.webhooks import ENDS, Webhook

app = App(help="Manage the webhooks of the gateway's clients.")


def _webhook_id(text: str) -> ShortId:
    return given_id(text, "webhooks list")


Id = Annotated[
    ShortId,
    typer.Argument(
        parser=_webhook_id,
        metavar="ID",
        help="Id of the webhook: in full, or as `waypost webhooks list` shows it.",
    ),
]
_COLUMNS = (
    Column("id"),
    Column("client", cut=True),
    Column("states", rank=2, cut=True),
    Column("created (UTC)", rank=3),
    Column("state", style=lambda state: "green" if state == "works" else "red"),
    Column("url", rank=1, cut=True, least=20),
)


@app.command()
def create(
    client: Annotated[
        str, typer.Argument(metavar="CLIENT", help="Application whose events the webhook receives.")
    ],
    url: Annotated[str, typer.Argument(metavar="URL", help="URL that receives the events; https:// only.")],
    state: Annotated[list[str], typer.Option(metavar="STATE", help="State to report; repeatable.")] = [  # noqa: B006 - typer shows the default
        str(one) for one in ENDS
    ],
    as_json: AsJson = False,
) -> None:
    """Create a webhook, and print its secret.

    It receives the states of an application's notifications, signed with the secret."""
    from waypost.gateway.http.webhook_request import Told
    from waypost.model.client_name import is_client

    if not is_client(client):
        raise typer.BadParameter(
            "use small letters a to z, digits and hyphens, 41 at most", param_hint="CLIENT"
        )
    if wrong := [one for one in state if one not in get_args(Told)]:
        raise typer.BadParameter(
            f"{wrong[0]!r} cannot be reported: use {', '.join(get_args(Told))}", param_hint="--state"
        )
    settings = Settings()
    _check(url, settings)
    made = with_ledger(lambda ledger: _create(ledger, settings, client, url, state))
    _show(made, settings, as_json)


async def _create(ledger: Ledger, settings: Settings, client: str, url: str, states: list[str]) -> Webhook:
    await check_client(ledger, client)
    return await webhooks.create(ledger, secret_key(settings), client, url, states)


@app.command("list")
def list_webhooks(
    client: Annotated[
        str | None, typer.Option(metavar="CLIENT", help="Only the webhooks of this application.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List webhooks, without secrets."""
    found = with_ledger(lambda ledger: webhooks.every(ledger, client))
    if as_json:
        print_json([_described(one) for one in found])
        return
    if not found:
        typer.echo("no webhooks yet: create one with `waypost webhooks create my-app https://...`")
        return
    rows = [
        (shown_id(one.id), one.client, ",".join(one.states), one.created_at, _state(one), one.url)
        for one in found
    ]
    print_columns(_COLUMNS, rows)


@app.command()
def delete(id: Id, as_json: AsJson = False) -> None:
    """Delete a webhook and its undelivered events."""

    async def work(ledger: Ledger) -> UUID:
        found = await webhook_id(ledger, id)
        await webhooks.delete(ledger, found)
        return found

    deleted = with_ledger(work)
    if as_json:
        print_json({"id": deleted, "deleted": True})
    else:
        typer.echo(f"webhook {deleted}: deleted")


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[
        float,
        typer.Option(min=0, max=8760, metavar="HOURS", help="Hours during which the old secret also signs."),
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Create a new secret for a webhook, and print it."""
    settings, again = Settings(), timedelta(hours=overlap)

    async def work(ledger: Ledger) -> Webhook:
        found = await webhook_id(ledger, id)
        return await webhooks.rotate(ledger, secret_key(settings), found, overlap=again)

    made = with_ledger(work)
    _show(made, settings, as_json)
    if not as_json:
        typer.echo(f"the old secret also signs for {overlap:g} hours", err=True)


def _check(url: str, settings: Settings) -> None:
    from waypost.gateway.http.webhook_request import check_place

    try:
        check_place(url, settings.webhooks_allow_private)
    except ValueError as error:
        allowed = settings.webhooks_allow_private
        hint = "" if allowed else " (WAYPOST_WEBHOOKS_ALLOW_PRIVATE=true lets webhooks go to this machine)"
        raise typer.BadParameter(f"{error}{hint}", param_hint="URL") from None


def _show(made: Webhook, settings: Settings, as_json: bool) -> None:
    """The secret, which is kept nowhere: Waypost's key makes it."""
    from waypost.gateway.webhooks.secrets import secret

    text = secret(secret_key(settings), made)
    if as_json:
        print_json({**_described(made), "secret": text})
        return
    typer.echo(text)
    typer.echo(f"webhook {made.id} (client {made.client}) receives: {', '.join(made.states)}", err=True)


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
