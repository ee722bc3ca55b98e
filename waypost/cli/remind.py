"""`waypost remind TYPE`: ask a type's source who is due, and accept a request for each; or list them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from waypost.cli.columns import Column, print_columns
from waypost.cli.interrupted import told_if_interrupted
from waypost.cli.output import AsJson, Reveal, complain, err, out, print_json, table, titled, warn
from waypost.config.settings import Settings
from waypost.mail.address import reaches_somebody
from waypost.mail.masking import mask
from waypost.system.plurals import counted

if TYPE_CHECKING:
    from waypost.model.notification_type import NotificationType
    from waypost.model.source import Source
    from waypost.sources.due import Asked, Due

REJECTIONS_SHOWN = 20


class NoSource(ValueError):
    """A type cannot be reminded of: it asks no source, or has none. Says what to do."""


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date: write it as 2026-03-02") from None


def remind(
    type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Type of notification, such as membership-expiry.")
    ],
    day: Annotated[
        date | None,
        typer.Option(
            "--date", parser=_day, metavar="DATE", help="Date to ask the source for. Default: today."
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only list the recipients; accept and send nothing.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Most recipients to list.")] = 50,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Notify those whom a type's source names.

    The type's schedule does the same. Each person is notified once per date, by the schedule or by this
    command. Rows that are not valid are reported with their place and field; the others go out. Exit status 0
    when every row was accepted, now or before. --preview checks every row too, lists those who would be
    notified, and masks addresses unless you add --reveal.
    """
    from waypost.deployments.registry import requestable
    from waypost.sources.due import Asked
    from waypost.sources.today import today

    settings = Settings()
    found = requestable(type).type
    source = _source(found, settings)
    asked = Asked(found.name, day or today(settings))
    shown: list[dict[str, Any]] = []
    with told_if_interrupted(lambda: _interrupted(asked, preview)):
        if preview:
            asyncio.run(_list(settings, found, source, asked, shown, limit, reveal))
        else:
            asyncio.run(_accept(settings, found, source, asked))
    if as_json:
        of_preview = {"accepted": 0, "to_notify": asked.accepted, "recipients": shown}
        print_json({**asked.summary(), **(of_preview if preview else {})})
    else:
        _tell(asked, shown, preview)
    if not asked.good:
        raise typer.Exit(1)


def _source(type: NotificationType, settings: Settings) -> Source:
    from waypost.sources.due import no_source

    if not type.asks_source:
        raise NoSource(f"{type.name} has no reminders: it asks no source")
    if (source := settings.sources.get(type.name)) is None:
        raise NoSource(no_source(type.name))
    return source


async def _list(
    settings: Settings,
    type: NotificationType,
    source: Source,
    asked: Asked,
    shown: list[dict[str, Any]],
    limit: int,
    reveal: bool,
) -> None:
    """Read the whole source, and put the first `limit` of those who would be notified into `shown`."""
    from waypost.ledger import connect_checked
    from waypost.sources.due import groups, try_group

    seen: dict[str, bytes] = {}
    async with (
        connect_checked(settings) as ledger,
        aclosing(groups(type, source, settings.project, asked)) as found,
    ):
        async for group in found:
            due = await try_group(ledger, type, group, asked, seen)
            shown += [_shown(one, reveal) for one in due[: limit - len(shown)]]


def _shown(one: Due, reveal: bool) -> dict[str, Any]:
    person = one.request.recipient
    fields = {"id": person.id, "email": person.email, "phone": person.phone}
    return {
        "row": one.place,
        **{name: value if reveal else _masked(name, value) for name, value in fields.items()},
        "locale": person.locale,
    }


def _masked(name: str, value: str | None) -> str | None:
    hidden = value and (name != "id" or reaches_somebody(value))
    return mask(value) if value and hidden else value


async def _accept(settings: Settings, type: NotificationType, source: Source, asked: Asked) -> None:
    from waypost.ledger import connect_checked
    from waypost.sources.due import accept_all_but_the_last, accept_group

    async with connect_checked(settings) as ledger:
        last = await accept_all_but_the_last(ledger, type, source, settings.project, asked)
        await accept_group(ledger, type, last, asked)


def _tell(asked: Asked, shown: list[dict[str, Any]], preview: bool) -> None:
    for rejected in asked.rejections[:REJECTIONS_SHOWN]:
        err.print(f"[red]{escape(rejected.place)}[/]: {escape(rejected.reason)}", soft_wrap=True)
    if asked.rejected > REJECTIONS_SHOWN:
        err.print(f"[red]... and {counted(asked.rejected - REJECTIONS_SHOWN, 'more row')}")
    if asked.unused:
        warn(f"columns that no field takes: {', '.join(asked.unused)}")
    if asked.trouble:
        complain(asked.trouble)
    if shown:
        columns = ("row", "email", "phone", "id", "locale")
        print_columns(
            [Column(name, cut=name == "email") for name in columns],
            [[one[name] or "-" for name in columns] for one in shown],
        )
    if preview and asked.accepted > len(shown):
        err.print(f"{asked.accepted - len(shown):,} more: --limit lists more")
    out.print(
        titled(f"{asked.type} for {asked.day}", table("result", "people", rows=_totals(asked, preview)))
    )
    if preview:
        out.print("nothing was accepted or sent: this is a preview", soft_wrap=True)
    elif asked.accepted:
        out.print(
            f"a worker sends them; `waypost list --type {asked.type}` shows how far it is", soft_wrap=True
        )


def _totals(asked: Asked, preview: bool) -> list[tuple[str, int]]:
    rows = [("rows read", asked.rows), ("due", asked.due)]
    if asked.other_dates:
        rows.append(("for another date", asked.other_dates))
    rows.append(("to be notified" if preview else "accepted", asked.accepted))
    if asked.before:
        rows.append(("notified before, not sent again", asked.before))
    if asked.rejected:
        rows.append(("rejected", asked.rejected))
    return rows


def _interrupted(asked: Asked, preview: bool) -> str:
    if preview:
        return "interrupted; nothing was accepted or sent"
    return (
        f"interrupted; accepted: {asked.accepted:,}, who are notified. Run the command again for the others: "
        "nobody is notified twice"
    )
