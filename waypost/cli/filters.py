"""The options that select notifications, shared by `list`, `retry` and `cancel`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from waypost.cli.output import err
from waypost.ledger.operations.search import Filter
from waypost.model.states import State
from waypost.system.clock import now

States = Annotated[
    list[State] | None, typer.Option("--state", help="Only notifications in this state; repeatable.")
]
Type = Annotated[str | None, typer.Option("--type", help="Only notifications of this type.")]
Provider = Annotated[
    str | None, typer.Option(help="Only notifications with an attempt through this provider, such as smtp.")
]
Since = Annotated[
    str | None,
    typer.Option(help="Accepted at or after: 2h or 3d ago, or ISO 8601 (UTC if it has no offset)."),
]
Until = Annotated[str | None, typer.Option(help="Accepted before; same forms as --since.")]
Reason = Annotated[
    str | None, typer.Option(help="Only notifications whose reason has this text, in upper or lower case.")
]

LONGEST_TEXT = 320  # characters, as over HTTP
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,9})([smhdw])")


def chosen(
    states: list[State] | None,
    type: str | None,
    provider: str | None,
    since: str | None,
    until: str | None,
    reason: str | None,
    in_doubt: bool = False,
) -> Filter:
    """The options as a filter. Raises typer.BadParameter naming the invalid option."""
    for name, value in (("--type", type), ("--provider", provider), ("--reason", reason)):
        if value is not None and not (value and value.isprintable()):
            raise typer.BadParameter("it is empty, or not text on one line", param_hint=name)
        if value is not None and len(value) > LONGEST_TEXT:
            raise typer.BadParameter(f"it has more than {LONGEST_TEXT} characters", param_hint=name)
    made = Filter(
        states=tuple(states or ()),
        type=type,
        provider=provider,
        since=_moment(since, "--since"),
        until=_moment(until, "--until"),
        reason=reason,
        in_doubt=in_doubt,
    )
    if made.since and made.until and made.since >= made.until:
        raise typer.BadParameter("it is not before --until: nothing could match", param_hint="--since")
    return made


def nothing_found(filter: Filter) -> None:
    """Say that `filter` matches no notification. Raises UnknownType if its type does not exist: flows/ is
    loaded only here, as that takes a second."""
    if filter.type is not None:
        from deployments.registry import find

        find(filter.type)
    err.print("no notification matches")


def _moment(text: str | None, option: str) -> datetime | None:
    """A moment in UTC, between 1970 and 2200."""
    if text is None:
        return None
    try:
        found = _read(text.strip())
        if not 1970 <= found.year <= 2200:
            raise ValueError
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a time ago (30m, 2h, 3d, 1w) nor a moment in ISO 8601 such as "
            "2026-01-31 or 2026-01-31T08:00+01:00",
            param_hint=option,
        ) from None
    return found


def _read(text: str) -> datetime:
    if ago := _AGO.fullmatch(text):
        return now() - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
