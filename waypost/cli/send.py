"""`waypost send TYPE --from FILE.jsonl`: accept a file's requests, start runs, watch them end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from waypost.cli.output import AsJson, err, out, print_json, table
from waypost.config.instance import connect, find
from waypost.config.settings import Settings

if TYPE_CHECKING:
    from deployments.file_send import FileSend
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

    An invalid line is reported with its field, and the other lines are accepted. A file that does not begin
    with a JSON object on a line is refused whole. Exit status 0 when every line was accepted (now or before)
    and nothing failed.
    """
    settings = connect(Settings())
    submission = asyncio.run(_send(settings, type, source, wait))
    if as_json:
        print_json(submission.summary())
    else:
        _tell(submission)
    if not submission.good:
        raise typer.Exit(1)


async def _send(settings: Settings, type: str, source: Path, wait: bool) -> FileSend:
    from deployments import file_send as submission
    from deployments.file_lines import lines_of
    from deployments.registry import requestable
    from waypost.gateway.http.body import ONE
    from waypost.ledger import connect_checked

    one = requestable(type)
    async with connect_checked(settings) as ledger:
        with _progress() as progress, source.open("rb") as file:
            reading = progress.add_task("read", total=None)
            lines = lines_of(file, ONE)
            sent = await submission.submit(
                ledger, one, lines, on_progress=lambda count: progress.update(reading, completed=count)
            )
            progress.update(reading, total=sent.lines, completed=sent.lines)
            if wait and sent.intakes:
                await _watch(ledger, sent, settings, progress)
    return sent


async def _watch(ledger: Ledger, sent: FileSend, settings: Settings, progress: Progress) -> None:
    from deployments import file_send as submission

    sending = progress.add_task("ended", total=sent.accepted)
    here = find(settings.home)
    gateway = here.gateway if here else None
    async for ended in submission.watch(ledger, sent, settings.work_pool, gateway=gateway):
        progress.update(sending, completed=ended)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )


def _tell(sent: FileSend) -> None:
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
