"""`waypost suppressions ...`: addresses that must not be written to."""

from __future__ import annotations

import csv
import sys
from contextlib import ExitStack, aclosing
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from waypost.cli.app import App
from waypost.cli.asking import Refused as NothingDone
from waypost.cli.clients import check_client
from waypost.cli.columns import Column, print_columns
from waypost.cli.output import AsJson, Reveal, print_json, warn
from waypost.cli.progress import bars
from waypost.cli.replaced_file import replaced
from waypost.cli.table_import import A_TRANSACTION, Rejected, TableImport, table_file
from waypost.cli.with_ledger import with_ledger
from waypost.ledger import Ledger
from waypost.ledger.records import suppressions
from waypost.ledger.records.suppressions import Which
from waypost.mail.address import address_or_number
from waypost.mail.masking import mask, mask_in
from waypost.model.category import Category
from waypost.model.suppression import EVERY_CLIENT, EVIDENCE_KEPT, Cause, Suppression
from waypost.sources.suppression_table import (
    HEADER,
    Defaults,
    Refused,
    cells_of,
    client_of,
    rows_in,
    suppression_of,
)
from waypost.system.clock import now
from waypost.system.plurals import counted

app = App(help="Manage the addresses that must not be written to.")

_LONGEST_DAYS = 36_500
_COLUMNS = (
    Column("address", cut=True, least=12),
    Column("category"),
    Column("cause"),
    Column("client", rank=1, cut=True),
    Column("since (UTC)", rank=3),
    Column("until (UTC)", rank=2),
    Column("evidence", rank=4, cut=True, least=17),
)


def _address(given: str) -> str:
    try:
        return address_or_number(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _client(given: str) -> str:
    try:
        return client_of(given)
    except Refused as error:
        raise typer.BadParameter(str(error).removeprefix("client: ")) from None


def _reason(given: str | None) -> str | None:
    if given is not None and len(given) > EVIDENCE_KEPT:
        raise typer.BadParameter(f"longer than {EVIDENCE_KEPT} characters")
    return given


Address = Annotated[
    str, typer.Argument(parser=_address, metavar="ADDRESS", help="Email address or phone number.")
]
OneCategory = Annotated[
    Category | None, typer.Option(help="The category that is suppressed. Default: all categories.")
]
OnlyCategory = Annotated[Category | None, typer.Option(help="Only suppressions of this category.")]
OneCause = Annotated[Cause, typer.Option(help="Why the address must not be written to.")]
OnlyCause = Annotated[Cause | None, typer.Option(help="Only suppressions with this cause.")]
OneClient = Annotated[
    str,
    typer.Option(
        parser=_client,
        metavar="CLIENT",
        help="Application whose notifications are suppressed; - for requests without an API key.",
    ),
]
OnlyClient = Annotated[
    str | None,
    typer.Option(
        parser=_client,
        metavar="CLIENT",
        help="Only suppressions of this application; - for those of requests without an API key, * for those "
        "of all applications.",
    ),
]
ForReason = Annotated[
    str | None, typer.Option(metavar="TEXT", callback=_reason, help="What led to it, for people.")
]
ExpiresIn = Annotated[
    float | None,
    typer.Option(
        min=0.001, max=_LONGEST_DAYS, metavar="DAYS", help="Days until it ends. Default: it stays for good."
    ),
]


@app.command("list")
def list_suppressions(
    address: Annotated[
        str | None,
        typer.Argument(parser=_address, metavar="[ADDRESS]", help="Only suppressions of this address."),
    ] = None,
    category: OnlyCategory = None,
    client: OnlyClient = None,
    cause: OnlyCause = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Most suppressions to list.")
    ] = 50,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """List the suppressions in force, by address.

    Addresses are masked unless you add --reveal. `waypost suppressions export` writes all of them.
    """
    which = _which(address, category, client, cause)
    found, more = with_ledger(lambda ledger: suppressions.page(ledger, which, limit=limit))
    if as_json:
        print_json([_described(one, reveal) for one in found])
    elif found:
        print_columns(_COLUMNS, [_cells(one, reveal) for one in found])
    else:
        typer.echo("no suppressions")
    if more is not None:
        warn(f"only the first {limit:,} are listed: raise --limit, or use `waypost suppressions export`")


@app.command()
def add(
    address: Address,
    category: OneCategory = None,
    client: OneClient = EVERY_CLIENT,
    cause: OneCause = Cause.MANUAL,
    reason: ForReason = None,
    expires_in: ExpiresIn = None,
    as_json: AsJson = False,
) -> None:
    """Suppress an address: nothing but mandatory categories is sent to it."""
    expires_at = now() + timedelta(days=expires_in) if expires_in else None
    made = Suppression(
        address=address,
        scope=category,
        cause=cause,
        client=client,
        evidence=reason or "",
        expires_at=expires_at,
    )

    async def work(ledger: Ledger) -> None:
        await _check_client(ledger, client)
        await suppressions.add(ledger, [made])

    with_ledger(work)
    if as_json:
        print_json(_described(made, reveal=True))
    else:
        typer.echo(f"{mask(address)}: suppressed for {category or 'all categories'}")


@app.command()
def remove(
    address: Address,
    category: OnlyCategory = None,
    client: OnlyClient = None,
    cause: OnlyCause = None,
    as_json: AsJson = False,
) -> None:
    """Lift the suppressions of an address, so that it is written to again."""
    which = _which(address, category, client, cause)
    lifted = with_ledger(lambda ledger: suppressions.remove(ledger, which))
    if as_json:
        print_json({"lifted": lifted})
    if not lifted:
        raise NothingDone(f"{mask(address)} has no such suppression; see `waypost suppressions list`")
    if not as_json:
        typer.echo(f"{mask(address)}: {counted(lifted, 'suppression')} lifted")


@app.command("export")
def export_suppressions(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", dir_okay=False, help="CSV file to write. Default: standard output."),
    ] = None,
    category: OnlyCategory = None,
    client: OnlyClient = None,
    cause: OnlyCause = None,
) -> None:
    """Write the suppressions in force as CSV, with addresses in full.

    `waypost suppressions import` reads the file again.
    """
    which = _which(None, category, client, cause)
    with ExitStack() as stack:
        opened: IO[str] = sys.stdout
        if file is not None:
            opened = stack.enter_context(replaced(file))
        written = with_ledger(lambda ledger: _export(ledger, which, opened, shown=file is not None))
    if file is not None:
        typer.echo(f"{file}: {counted(written, 'suppression')} written", err=True)


async def _export(ledger: Ledger, which: Which, opened: IO[str], shown: bool) -> int:
    """shown: whether a bar shows the progress. Returns how many rows were written."""
    table = csv.writer(opened, lineterminator="\n")
    table.writerow(HEADER)
    written = 0
    with bars() as progress:
        task = progress.add_task("written", total=None, visible=shown)
        async with aclosing(suppressions.each(ledger, which)) as found:
            async for one in found:
                table.writerow(cells_of(one))
                written += 1
                if not written % A_TRANSACTION:
                    progress.update(task, completed=written)
        progress.update(task, total=written, completed=written)
    return written


@app.command("import")
def import_suppressions(
    file: Annotated[
        Path,
        table_file("CSV file whose first line names the columns; only the column address is needed."),
    ],
    category: OneCategory = None,
    client: OneClient = EVERY_CLIENT,
    cause: OneCause = Cause.MANUAL,
    reason: ForReason = None,
    expires_in: ExpiresIn = None,
    rejected: Rejected = None,
    as_json: AsJson = False,
) -> None:
    """Suppress the addresses of a CSV file.

    The columns are address, category, cause, client, evidence and expires_at; other columns are ignored. An
    option applies to rows whose cell is empty. Text may be UTF-8 or Latin-1, and columns separated by commas,
    semicolons or tabs. Rows that are wrong are refused, the others imported. Exit status 0 when no row was
    refused. A second import of the same file changes nothing.
    """
    expires_at = now() + timedelta(days=expires_in) if expires_in else None
    defaults = Defaults(category, cause, client, reason or "", expires_at)
    moment = now()
    TableImport(
        "suppression",
        HEADER,
        lambda row: suppression_of(row, defaults, moment),
        suppressions.add,
        lambda ledger: _check_client(ledger, defaults.client),
    ).run(rows_in(file), rejected, as_json)


def _which(address: str | None, category: Category | None, client: str | None, cause: Cause | None) -> Which:
    return Which(address, None if client is None else (client,), category, cause)


async def _check_client(ledger: Ledger, client: str) -> None:
    if client != EVERY_CLIENT:
        await check_client(ledger, client)


def _cells(one: Suppression, reveal: bool) -> tuple[object, ...]:
    return (
        one.address if reveal else mask(one.address),
        one.scope or "all",
        one.cause,
        {"": "-", EVERY_CLIENT: "all"}.get(one.client, one.client),
        one.created_at,
        one.expires_at or "-",
        one.evidence if reveal else mask_in(one.evidence),
    )


def _described(one: Suppression, reveal: bool) -> dict[str, Any]:
    return {
        "address": one.address if reveal else mask(one.address),
        "category": one.scope,
        "cause": one.cause,
        "client": one.client,
        "evidence": one.evidence if reveal else mask_in(one.evidence),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
    }
