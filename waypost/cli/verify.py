"""`waypost verify RECIPIENT CODE`: check a verification code."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from waypost.cli.clients import check_client
from waypost.cli.output import AsJson, out, print_json
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.ledger import connect_checked
from waypost.ledger.records.verification_codes import Checked

_SAID = {
    Checked.VERIFIED: "[green]verified[/]: the code was right, and is used up now",
    Checked.WRONG: "[red]wrong[/]: not the code that was sent; it may be tried again",
    Checked.ENDED: "[red]ended[/]: five wrong tries, or its message was not delivered; send a new code",
    Checked.EXPIRED: "[red]expired[/]: codes live 15 minutes; send a new one",
    Checked.USED: "[red]used[/]: a code works once",
    Checked.UNKNOWN: "[red]unknown[/]: no code was sent to this recipient",
}


def verify(
    recipient: Annotated[str, typer.Argument(help="The recipient's id or address.")],
    code: Annotated[str, typer.Argument(help="The six digits.")],
    client: Annotated[
        str | None, typer.Option(help="The application that had it sent; unset, whichever did.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a verification code. Exit status 0 only when it is right."""
    from waypost.verification import codes

    settings = Settings()

    async def run() -> Checked:
        async with connect_checked(settings) as ledger:
            await check_client(ledger, client)
            return await codes.verify(ledger, secret_key(settings), recipient, code, client)

    found = asyncio.run(run())
    if as_json:
        print_json({"result": found})
    else:
        out.print(_SAID[found])
    if found is not Checked.VERIFIED:
        raise typer.Exit(1)
