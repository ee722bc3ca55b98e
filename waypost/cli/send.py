"""`waypost send TYPE`: accept the requests of a file, or one of the type's sample, and watch them end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer
from rich.markup import escape
from rich.progress import Progress

from waypost.cli.interrupted import told_if_interrupted
from waypost.cli.output import AsJson, complain, err, out, print_json, show, table, titled, warn
from waypost.cli.progress import bars
from waypost.config.instance import connect, find
from waypost.config.settings import Settings
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.moments import in_utc
from waypost.system.plurals import counted

if TYPE_CHECKING:
    from waypost.deployments.file_send import FileSend
    from waypost.deployments.registry import Registered
    from waypost.ledger import Ledger
    from waypost.model.brand import Brand

    Brands = Mapping[str, Brand]

REJECTIONS_SHOWN = 20


def send(
    type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Type of notification, such as order-confirmation.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            exists=True,
            dir_okay=False,
            readable=True,
            metavar="FILE",
            help="JSONL file with one request on each line.",
        ),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Send one notification with the type's sample data instead.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Mail address or phone number that gets the sample."),
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="Locale of the sample, such as de. Default: the default locale.")
    ] = None,
    brand: Annotated[str | None, typer.Option(help="Brand of the sample. Default: the type's.")] = None,
    wait: Annotated[
        bool, typer.Option(help="Watch until every notification is sent, failed, held or deferred.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Send the requests of a JSONL file, or a type's sample.

    Invalid lines are reported with their field; the other lines are sent. A file whose first line is not a
    JSON object is refused. Exit status 0 when every line was accepted, now or before, and nothing failed.
    The sample is templates/TYPE/sample.json; each `--sample` sends anew.
    """
    _check_options(source, sample, {"--to": to, "--locale": locale, "--brand": brand})
    settings = connect(Settings())
    from waypost.deployments.file_send import FileSend
    from waypost.deployments.registry import requestable

    one = requestable(type)
    sent = FileSend(one.type.name)
    with told_if_interrupted(lambda: interrupted_in_words(sent)):
        if source is None:
            make = partial(_sample, settings, one, to or "", locale, brand)
            asyncio.run(_send(settings, one, make, wait, sent))
        else:
            with source.open("rb") as file:
                asyncio.run(_send(settings, one, lambda _: file, wait, sent))
    if not sent.lines and not sent.trouble:
        raise typer.BadParameter(f"{source} has no requests: write one on each line", param_hint="--from")
    if as_json:
        print_json(sent.summary())
    else:
        tell(sent)
    if not sent.good:
        raise typer.Exit(1)


def _check_options(source: Path | None, sample: bool, of_sample: Mapping[str, str | None]) -> None:
    """Either a file, or the sample and its address. of_sample: what the options of a sample have."""
    if sample and source:
        raise typer.BadParameter("not together with --from", param_hint="--sample")
    if sample and not of_sample["--to"]:
        raise typer.BadParameter("missing: name the address that gets the sample", param_hint="--to")
    if not sample and not source:
        raise typer.BadParameter("missing: name a file, or use --sample --to ADDRESS", param_hint="--from")
    for option, given in of_sample.items():
        if given is not None and not sample:
            raise typer.BadParameter("only together with --sample", param_hint=option)


def _sample(
    settings: Settings, one: Registered, to: str, locale: str | None, brand: str | None, brands: Brands
) -> BinaryIO:
    """A file whose only line is the request of the sample."""
    from waypost.deployments.sample_request import WrongOption, sample_request

    try:
        request = sample_request(one, to, locale, settings, brands, brand)
    except WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from None
    _warn_of_templates(settings, one, locale or settings.default_locale)
    return BytesIO(request)


def _warn_of_templates(settings: Settings, one: Registered, locale: str) -> None:
    """Say what is wrong in the templates: a worker goes on with those before a fault, and with another
    language where one is missing."""
    from waypost.rendering.live_templates import Templates
    from waypost.rendering.template_check import examine

    if one.type.finished is not None:
        return
    templates = Templates(settings.template_folders, settings.default_locale)
    if faults := examine(templates, one.type):
        for fault in faults:
            warn(f"{fault}; a worker that runs sends with the templates before this fault")
        return
    lang = templates.find(one.type.name, locale).lang
    if lang.partition("-")[0] != locale.partition("-")[0]:
        warn(f"{one.type.name} has no translation into {locale}: the mail is in {lang}")


async def _send(
    settings: Settings, one: Registered, opened: Callable[[Brands], BinaryIO], wait: bool, sent: FileSend
) -> None:
    """opened: the file, for all brands."""
    from waypost.delivery.added_brands import all_brands
    from waypost.deployments import file_send as submission
    from waypost.deployments.next_digest import next_digest
    from waypost.gateway.http.body import ONE
    from waypost.ledger import connect_checked
    from waypost.system.file_lines import lines_of

    async with connect_checked(settings) as ledger:
        brands = await all_brands(settings, ledger)
        file = opened(brands)
        with bars() as progress:
            reading = progress.add_task("read", total=None, visible=False)  # none for a file that is refused
            lines = lines_of(file, ONE)

            def read(count: int) -> None:
                progress.update(reading, completed=count, visible=True)

            with _told_if_interrupted(sent):
                await submission.submit(ledger, one, lines, read, sent, brands)
            sent.complete = not sent.trouble
            progress.update(reading, total=sent.lines, completed=sent.lines, visible=True)
            if wait and sent.intakes and not sent.trouble:
                await _watch(ledger, sent, settings, progress)
    if sent.for_digest:
        sent.next_digest = await next_digest()


@contextmanager
def _told_if_interrupted(sent: FileSend) -> Generator[None]:
    """If the block ends early (a lost ledger) after a part of the file was accepted, say which."""
    try:
        yield
    except Exception:
        if sent.offered:
            complain(f"stopped before the end of the file: {sent.interrupted}")
        raise
    if sent.trouble:
        sent.trouble = f"{sent.trouble}: {sent.interrupted}"


async def _watch(ledger: Ledger, sent: FileSend, settings: Settings, progress: Progress) -> None:
    from waypost.deployments import file_send as submission

    sending = progress.add_task("settled", total=sent.accepted)
    here = find(settings.home)
    gateway = here.gateway if here else None
    async for settled in submission.watch(ledger, sent, settings.work_pool, gateway=gateway):
        progress.update(sending, completed=settled)


def tell(sent: FileSend) -> None:
    """Print the result for people."""
    for rejected in sent.rejections[:REJECTIONS_SHOWN]:
        err.print(f"[red]line {rejected.line}[/]: {escape(rejected.reason)}", soft_wrap=True)
    if len(sent.rejections) > REJECTIONS_SHOWN:
        err.print(f"[red]... and {counted(len(sent.rejections) - REJECTIONS_SHOWN, 'more line')}")
    if sent.trouble:
        complain(sent.trouble)
    show(titled(sent.type, table("result", "notifications", rows=sent.summary_rows())))
    if nothing := nothing_sent_in_words(sent):
        out.print(nothing, soft_wrap=True)
    if sent.failed_before:
        before = counted(sent.failed_before, "was", "were")
        err.print(
            f"[red]{before} accepted before, and failed or expired[/]: to send again, use `waypost retry` or "
            "a new idempotency key",
            soft_wrap=True,
        )
    if sent.next_try:
        out.print(deferred_in_words(sent.states[State.DEFERRED], sent.next_try, now()))
    for reason, count in sent.reasons.items():
        out.print(f"[red]{count:,}[/] {escape(reason)}", soft_wrap=True)
    if sent.for_digest:
        out.print(for_digest_in_words(sent.for_digest, sent.next_digest, now()), soft_wrap=True)
    for line in in_doubt_in_words(sent.in_doubt):
        out.print(line, style="red", soft_wrap=True)


def nothing_sent_in_words(sent: FileSend) -> str:
    """Why nothing of a file was sent; empty if something was, or may have been."""
    if sent.accepted or sent.trouble or not sent.lines:
        return ""
    if sent.repeated == sent.lines:
        return "nothing was sent: every request was accepted before (same idempotency keys)"
    keys = "key" if sent.repeated == 1 else "keys"
    counts = {
        f"accepted before (same idempotency {keys})": sent.repeated,
        "counted in an open notification": sent.grouped,
        "rejected (above)": len(sent.rejections),
    }
    told = [f"{counted(count, 'was', 'were')} {what}" for what, count in counts.items() if count]
    return f"nothing was sent: {', '.join(told)}"


def deferred_in_words(count: int, next_try: datetime, moment: datetime) -> str:
    """`3 deferred, next try 14:12:24 UTC`; with the date on another day than `moment`."""
    return f"{count:,} deferred, next try {in_utc(next_try, moment)}"


def for_digest_in_words(count: int, next_digest: datetime | None, moment: datetime) -> str:
    """What happens to notifications that wait for a digest."""
    when = f"which goes out at {in_utc(next_digest, moment)}" if next_digest else "which has no schedule now"
    todo = "; there is nothing to do" if next_digest else ": run it, or give it a schedule, in Prefect"
    return f"{counted(count, 'waits', 'wait')} for the digest, {when}{todo}"


def in_doubt_in_words(counts: Counter[State]) -> list[str]:
    """A line for those that may arrive twice, and a line for those held, which may not have arrived."""
    held, see = counts[State.HELD], "see `waypost list --in-doubt`"
    lines = {
        f"may be delivered twice: {see}": counts.total() - held,
        f"held in doubt, delivered or not at all: {see}; `waypost retry ID` sends again": held,
    }
    return [f"{count:,} {said}" for said, count in lines.items() if count]


def interrupted_in_words(sent: FileSend) -> str:
    """What Ctrl-C left behind, and what to do."""
    if not sent.offered:
        return "interrupted before anything was accepted"
    if not sent.complete:
        return f"interrupted before the end of the file: {sent.interrupted}"
    return (
        "interrupted while watching: the accepted notifications are safe in the ledger and still go out; "
        f"`waypost list --type {sent.type}` shows them"
    )
