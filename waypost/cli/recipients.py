"""`waypost recipients ...`: recipients are shown, imported, exported and forgotten, their links revoked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from waypost.cli.app import App
from waypost.cli.asking import Refused, Yes, ask
from waypost.cli.clients import check_client
from waypost.cli.output import AsJson, json_bytes, out, plain, print_json
from waypost.cli.table_import import Rejected, TableImport, table_file
from waypost.cli.with_ledger import with_ledger
from waypost.ledger import Ledger
from waypost.ledger.operations import recipient_export
from waypost.ledger.records import recipients
from waypost.mail.address import key_of_url, keys_of
from waypost.model.attributes import TooMany
from waypost.sources.recipient_table import HEADER, is_field, recipient_of, rows_in

T = TypeVar("T")

app = App(help="Show and forget recipients. Each client has its own.")

Client = Annotated[
    str,
    typer.Option(
        metavar="CLIENT",
        help="Application that the recipient belongs to. Default: requests without an API key.",
    ),
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
        help="Id of the recipient. A recipient without an id: email address or phone number.",
    ),
]


@app.command()
def show(recipient: Key, client: Client = "", as_json: AsJson = False) -> None:
    """Show a recipient, with addresses in full."""
    found = _run(client, lambda ledger: _find(ledger, recipient, client))
    if found is None:
        raise _unknown(recipient, client)
    if as_json:
        print_json(found)
    else:
        _print_fields(found)


def _print_fields(found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        if name == "addresses":
            _print_addresses(value)
            continue
        shown = json_bytes(value).decode() if isinstance(value, dict) else plain(value)
        _print(f"{name:<10}  {'' if value is None else shown}".rstrip())


def _print_addresses(found: Sequence[Mapping[str, Any]]) -> None:
    for one in found:
        is_main = ", main" if one["main"] else ""
        verified = f", verified {plain(one['verified_at'])}" if one["verified"] else ", not verified"
        _print(f"{'address':<10}  {plain(one['address'])}: {one['kind']}{is_main}{verified}")


def _print(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)


@app.command()
def export(recipient: Key, client: Client = "", as_json: AsJson = False) -> None:
    """Print everything that is kept of a recipient.

    With --json: its profile, what it chose and when it agreed, the suppressions of its addresses, and all of
    its notifications with their facts and the replies of providers. Without --json, notifications are listed
    in short. Addresses are in full; placeholders stand for sensitive facts.
    """
    from waypost.deployments.registry import registered  # it loads Prefect, which takes seconds

    types = {name: one.type for name, one in registered().items()}
    write = _write_json if as_json else _write_lines

    async def work(ledger: Ledger) -> bool:
        for key in keys_of(recipient):
            if (about := await recipient_export.about(ledger, key, client)) is not None:
                async with aclosing(recipient_export.each_notification(ledger, key, types, client)) as found:
                    await write(about, found)
                return True
        return False

    if not _run(client, work):
        raise _unknown(recipient, client)


async def _write_json(about: Mapping[str, Any], notifications: AsyncIterator[dict[str, Any]]) -> None:
    """One object, written as it is read: a recipient may have a million notifications."""
    head = (b'"%s":%s' % (name.encode(), json_bytes(value)) for name, value in about.items())
    typer.echo(b"{" + b",\n".join(head) + b',\n"notifications":[', nl=False)
    separator = b"\n"
    async for one in notifications:
        typer.echo(separator + json_bytes(one), nl=False)
        separator = b",\n"
    typer.echo(b"]}")


async def _write_lines(about: Mapping[str, Any], notifications: AsyncIterator[dict[str, Any]]) -> None:
    _print_fields(about["recipient"] or {})
    for category, one in about["preferences"].items():
        agreed = f", confirmed {plain(one['confirmed_at'])}" if one["confirmed_at"] else ""
        how = f" ({plain(one['evidence'])})" if one["evidence"] else ""
        _print(f"preference  {category}: {one['cadence']}, by {one['chosen_by']}{agreed}{how}")
    for one in about["suppressions"]:
        _print(f"suppressed  {one['address']}: {one['category'] or 'all categories'}, {one['cause']}")
    async for one in notifications:
        reason = f": {plain(one['reason'])}" if one["reason"] else ""
        _print(f"{plain(one['accepted_at'])}  {one['id']}  {one['type']}  {one['state']}{reason}")


@app.command()
def forget(recipient: Key, client: Client = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a recipient's addresses; ask first.

    The recipient's notifications stay, without an address. Notifications that still wait will fail.
    """
    waiting = _run(client, lambda ledger: _forget(ledger, recipient, client, yes))
    if waiting is None:
        raise _unknown(recipient, client)
    if as_json:
        print_json({"id": recipient, "forgotten": True, "waiting": waiting})
    else:
        typer.echo("the recipient is forgotten")


@app.command("revoke-links")
def revoke_links(recipient: Key, client: Client = "", as_json: AsJson = False) -> None:
    """Revoke the links in all mails to a recipient.

    The links to unsubscribe and to the preference page stop working. Later mails have new links.
    """
    revoked = _run(client, lambda ledger: _revoke_links(ledger, recipient, client))
    if not revoked:
        raise _unknown(recipient, client)
    if as_json:
        print_json({"id": recipient, "revoked": True})
    else:
        typer.echo("the links are revoked; later mails have new links")


async def _revoke_links(ledger: Ledger, recipient: str, client: str) -> bool:
    known = await _find(ledger, recipient, client)
    return known is not None and await recipients.revoke_links(ledger, known["id"], client)


def _mapped(given: list[str]) -> dict[str, str]:
    """The field of each column, by `COLUMN=FIELD`."""
    found: dict[str, str] = {}
    for text in given:
        name, _, field = text.rpartition("=")
        if not name or not is_field(field):
            raise typer.BadParameter(
                f"write COLUMN=FIELD, where FIELD is one of {', '.join(HEADER)} or attributes.NAME",
                param_hint="--column",
            )
        found[name] = field
    return found


@app.command("import")
def import_recipients(
    file: Annotated[
        Path,
        table_file("CSV file whose first line names the columns, or JSONL file."),
    ],
    client: Client = "",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=FIELD", help="Field that a column with another name is. Repeatable."),
    ] = None,
    rejected: Rejected = None,
    as_json: AsJson = False,
) -> None:
    """Store the recipients of a CSV or JSONL file.

    The fields are id, email, phone, name, locale, timezone and attributes, or attributes.NAME for one of
    these; id, email or phone is needed. What a row does not say stays as it was. Text may be UTF-8 or
    Latin-1; commas, semicolons or tabs separate the columns. Rows that are wrong are refused, the others
    imported. Exit status 0 when no row was refused.
    """
    TableImport(
        "recipient",
        HEADER,
        recipient_of,
        lambda ledger, some: recipients.add_all(ledger, some, client),
        lambda ledger: check_client(ledger, client),
        refusal=TooMany,
    ).run(rows_in(file, _mapped(column or [])), rejected, as_json)  # fmt: skip


async def _forget(ledger: Ledger, recipient: str, client: str, yes: bool) -> int | None:
    """Forget a recipient. Return how many notifications waited for it; None if nothing was known."""
    known = await _find(ledger, recipient, client)
    if known is None:
        return None
    key = known["id"]
    waiting = await recipients.waiting(ledger, key, client)
    typer.echo(_doomed(waiting), err=True)
    if not yes:
        ask("forget this recipient?", "nothing was forgotten, as there is no terminal to ask at: add --yes")
    await recipients.forget(ledger, key, client)
    return waiting


async def _find(ledger: Ledger, recipient: str, client: str) -> dict[str, Any] | None:
    """What is known of the recipient with this id; of the address or phone number if no id is like it."""
    for key in keys_of(recipient):
        if (found := await recipients.get(ledger, key, client)) is not None:
            return found
    return None


def _doomed(waiting: int) -> str:
    match waiting:
        case 0:
            return "no notification waits for this recipient"
        case 1:
            return "1 notification waits for this recipient, and will fail"
        case _:
            return f"{waiting} notifications wait for this recipient, and will fail"


def _unknown(recipient: str, client: str) -> Refused:
    whose = f"client {client}" if client else "requests without an API key (--client names an application)"
    hint = "" if len(keys_of(recipient)) == 1 else "; a recipient with an id is found only by the id"
    return Refused(f"no recipient {recipient} is known for {whose}{hint}")


def _run(client: str, work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def checked(ledger: Ledger) -> T:
        await check_client(ledger, client)
        return await work(ledger)

    return with_ledger(checked)
