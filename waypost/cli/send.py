"""`waypost send TYPE --from FILE.jsonl`: accept a file's requests, start runs, watch them end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from waypost.cli.console import AsJson, err, out, print_json, table
from waypost.place import connect
from waypost.settings import Settings

if TYPE_CHECKING:
    from deployments.submission import Submission
    from waypost.ledger import Ledger

REJECTIONS_SHOWN = 20


def send(
    type: Annotated[str, typer.Argument(help="A type in flows/, for example order-confirmation.")],
    source: Annotated[
        Path,
        typer.Option("--from", exists=True, dir_okay=False, readable=True, help="One request a line."),
    ],
    wait: Annotated[bool, typer.Option(help="Watch until every notification has ended.")] = True,
    as_json: AsJson = False,
) -> None:
    """Accept every request of a JSONL file into the ledger and send it through Prefect.

    A line that is no good is named with its field and the others go. Exit status 0 when every line
    was accepted (now or before) and nothing failed.
    """
    settings = connect(Settings())
    submission = asyncio.run(_send(settings, type, source, wait))
    if as_json:
        print_json(submission.summary())
    else:
        _tell(submission)
    if not submission.good:
        raise typer.Exit(1)


async def _send(settings: Settings, type: str, source: Path, wait: bool) -> Submission:
    from deployments import submission
    from deployments.registry import find
    from waypost.ledger import checked

    one = find(type)
    async with checked(settings) as ledger:
        with _progress() as progress, source.open("rb") as lines:
            reading = progress.add_task("read", total=None)
            sent = await submission.submit(
                ledger, one, lines, on_progress=lambda count: progress.update(reading, completed=count)
            )
            progress.update(reading, total=sent.lines, completed=sent.lines)
            if wait and sent.intakes:
                await _watch(ledger, sent, settings.work_pool, progress)
    return sent


async def _watch(ledger: Ledger, sent: Submission, work_pool: str, progress: Progress) -> None:
    from deployments import submission

    sending = progress.add_task("ended", total=sent.accepted)
    async for ended in submission.watch(ledger, sent, work_pool):
        progress.update(sending, completed=ended)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )


def _tell(sent: Submission) -> None:
    for rejected in sent.rejections[:REJECTIONS_SHOWN]:
        err.print(f"[red]line {rejected.line}[/]: {escape(rejected.reason)}", soft_wrap=True)
    if len(sent.rejections) > REJECTIONS_SHOWN:
        err.print(f"[red]... and {len(sent.rejections) - REJECTIONS_SHOWN} more lines")
    if sent.trouble:
        err.print(f"[red]{escape(sent.trouble)}", soft_wrap=True)
    out.print(table("", "notifications", title=sent.type, rows=sent.summary_rows()))
    if not sent.lines:
        out.print("the file holds no requests")
    if sent.repeated and not sent.accepted:
        out.print("nothing was sent: every request was accepted before (same idempotency keys)")
    if sent.repeated_in_vain:
        err.print(
            f"[red]{sent.repeated_in_vain} had been accepted before and failed or expired then[/]: "
            "give them a new idempotency key to try again",
            soft_wrap=True,
        )
    for reason, count in sent.reasons.items():
        out.print(f"[red]{count}[/] {escape(reason)}", soft_wrap=True)
