"""`waypost status ID`: what became of one notification."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from waypost.cli.console import AsJson, err, out, print_json, table
from waypost.ledger import open_ledger
from waypost.ledger.reading import Status
from waypost.ledger.reading import status as read_status
from waypost.settings import Settings


def status(id: Annotated[UUID, typer.Argument(help="A notification's id.")], as_json: AsJson = False) -> None:
    """Show a notification's state, why, and every attempt with the provider's own words."""
    settings = Settings()

    async def run() -> Status | None:
        ledger = open_ledger(settings.ledger_url)
        try:
            await ledger.check_schema()
            return await read_status(ledger, id)
        finally:
            await ledger.close()

    found = asyncio.run(run())
    if found is None:
        err.print(f"[red]there is no notification {id} in this ledger")
        raise typer.Exit(1)
    if as_json:
        print_json(found)
    else:
        _tell(found)


def _tell(found: Status) -> None:
    facts = [
        ("type", found.type),
        ("recipient", found.recipient),
        ("state", f"{found.state}  {found.reason}".strip()),
        ("accepted", f"{found.accepted_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("due", f"{found.due_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("deadline", f"{found.expires_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if found.count > 1:
        facts.insert(2, ("count", str(found.count)))
    if found.digest_id:
        facts.append(("in digest", str(found.digest_id)))
    for name, value in facts:
        out.print(f"[bold]{name:<10}[/] {escape(value)}", soft_wrap=True)
    if found.attempts:
        out.print(
            table(
                "attempt", "at", "channel", "provider", "outcome", "answer",
                rows=[
                    (
                        attempt.number,
                        f"{attempt.started_at:%H:%M:%S}",
                        attempt.channel,
                        attempt.provider,
                        attempt.verdict or "in doubt",
                        " ".join(str(x) for x in (attempt.code, attempt.enhanced, attempt.words) if x),
                    )
                    for attempt in found.attempts
                ],
            )
        )  # fmt: skip
