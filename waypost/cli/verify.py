"""`waypost verify RECIPIENT CODE`: check a verification code."""

from __future__ import annotations

from typing import Annotated

import typer

from waypost.cli.clients import check_client
from waypost.cli.output import AsJson, out, print_json
from waypost.cli.with_ledger import with_ledger
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.records.verification_codes import Checked

_SAID = {
    Checked.VERIFIED: "[green]verified[/]: the code is right; it cannot be used again",
    Checked.WRONG: "[red]wrong[/]: not the code that was sent; try again",
    Checked.ENDED: "[red]ended[/]: five wrong tries, or the message was not delivered; send a new code",
    Checked.EXPIRED: "[red]expired[/]: the code is no longer valid; send a new code",
    Checked.USED: "[red]used[/]: a code works only once; send a new code",
    Checked.UNKNOWN: "[red]unknown[/]: no code was sent to this recipient",
}


def verify(
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="Id or address of the recipient.")],
    code: Annotated[str, typer.Argument(metavar="CODE", help="The six digits of the code.")],
    client: Annotated[
        str | None, typer.Option(metavar="CLIENT", help="Application that sent the code. Default: any.")
    ] = None,
    type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Type that sent the code. Default: any.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a verification code.

    Exit status 0 only if the code is right.
    """
    from waypost.verification import codes

    settings = Settings()

    async def check(ledger: Ledger) -> Checked:
        await check_client(ledger, client)
        return await codes.verify(ledger, secret_key(settings), recipient, code, client, type)

    found = with_ledger(check, settings)
    if as_json:
        print_json({"result": found})
    else:
        out.print(_SAID[found])
    if found is not Checked.VERIFIED:
        raise typer.Exit(1)
