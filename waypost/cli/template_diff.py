"""`waypost templates diff OLD NEW`: what a change to templates does to real notifications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from waypost.cli.output import AsJson, out, plain, print_json, table
from waypost.cli.renderers import renderers
from waypost.cli.with_ledger import with_ledger
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.model.notification_type import NotificationType
from waypost.rendering.comparing import FAILURES, Change, Comparison, Difference, Tally
from waypost.rendering.live_templates import Templates
from waypost.system.plurals import counted


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Folder of templates, or git revision.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Folder of templates, or git revision.")],
    type: Annotated[str | None, typer.Option(help="Compare this type only.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Number of notifications, the newest.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Show what a change to templates does to real notifications.

    It renders the newest notifications of the ledger with both, each in its recipient's locale, and sends
    nothing. Codes, links and sensitive facts have placeholders, and values in what it shows are masked. Exit
    status 1 if a notification would fail with NEW.
    """
    from waypost.cli.template_revisions import templates_of
    from waypost.deployments.registry import find, registered

    settings = Settings()
    types = [find(type).type] if type else [one.type for one in registered().values()]
    usable = {one.name: one for one in types if _can_be_compared(one)}
    with templates_of(old, settings) as before, templates_of(new, settings) as after:
        found = with_ledger(lambda ledger: _compare(ledger, settings, usable, before, after, last), settings)
    left_out = sorted({one.name for one in types} - usable.keys())
    if as_json:
        print_json({**_fields(found), "left_out": left_out})
    else:
        _tell(found, left_out)
    if found.failures:
        raise typer.Exit(1)


def _can_be_compared(type: NotificationType) -> bool:
    """Whether it has templates, and declares what it mints."""
    return type.finished is None and (type.mint is None or bool(type.minted))


async def _compare(
    ledger: Ledger,
    settings: Settings,
    types: Mapping[str, NotificationType],
    before: Templates,
    after: Templates,
    last: int,
) -> Comparison:
    from waypost.delivery.added_brands import all_brands
    from waypost.ledger.operations.kept_facts import Defaults, newest

    known = await all_brands(settings, ledger)
    found, old, new = (
        Comparison(),
        *(renderers(settings, one, known, covered=True) for one in (before, after)),
    )
    defaults = Defaults(settings.default_locale, settings.default_timezone)
    async for one in newest(ledger, types.keys(), last, defaults):
        type = types[one.type]
        found.add(old(one.brand, type.route), new(one.brand, type.route), type, one)
    return found


def _fields(found: Comparison) -> dict[str, Any]:
    return {
        "compared": _compared(found),
        "failures": found.failures,
        "locales": [_row(*key, tally) for key, tally in sorted(found.tallies.items())],
        "differences": found.differences,
    }


def _compared(found: Comparison) -> int:
    return sum(tally.count for tally in found.tallies.values())


def _row(type: str, locale: str, tally: Tally) -> dict[str, Any]:
    changes = {change.replace(" ", "_"): tally.changes[change] for change in Change}
    sizes = {"old_bytes": tally.before // tally.count, "new_bytes": tally.after // tally.count}
    return {"type": type, "locale": locale, "notifications": tally.count, **changes, **sizes}


def _tell(found: Comparison, left_out: list[str]) -> None:
    rows = [list(_row(*key, tally).values()) for key, tally in sorted(found.tallies.items())]
    if rows:
        out.print(table("type", "locale", "all", *Change, "old B", "new B", rows=rows))
    for one in found.differences:
        for line in _lines(one):
            typer.echo(_plain(line))
    for name in left_out:
        out.print(f"left out: {name}, which has no templates or does not declare what it mints")
    out.print(_summary(found), soft_wrap=True)


def _plain(line: str) -> str:
    """`line` without what moves a cursor, its indent kept."""
    return " " * (len(line) - len(line.lstrip())) + plain(line)


def _lines(one: Difference) -> list[str]:
    where = f"{one.type} {one.locale} {one.id}: {one.change}"
    if one.change in FAILURES:
        return [f"{where}: {one.new}"]
    return [f"{where}{f' in {one.part}' if one.part else ''}", f"  - {one.old}", f"  + {one.new}"]


def _summary(found: Comparison) -> str:
    count = _compared(found)
    if not count:
        return "the ledger has no notification to compare"
    return f"{counted(count, 'notification')} compared; {found.failures:,} would fail with the new templates"
