"""The options that select notifications, shared by `list`, `retry` and `cancel`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from waypost.cli.output import err
from waypost.ledger import Ledger
from waypost.ledger.operations.search import Filter
from waypost.ledger.records import clients
from waypost.mail.address import keys_of
from waypost.model.states import State
from waypost.system.moments import moment_in


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a state: use {', '.join(State)}") from None


States = Annotated[
    list[State] | None,
    typer.Option(
        "--state",
        parser=_state,
        metavar="STATE",
        help=f"Only notifications in this state; repeatable. States: {', '.join(State)}.",
    ),
]
Type = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only notifications of this type.")]
Provider = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Only notifications with an attempt through this provider, such as smtp."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only notifications accepted since then: 2h or 3d ago, or ISO 8601 (UTC if it has no offset).",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only notifications accepted before then; same forms as --since."),
]
Reason = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Only notifications whose reason has this text, in upper or lower case."
    ),
]
Recipient = Annotated[
    str | None,
    typer.Option(
        metavar="RECIPIENT", help="Only notifications to this recipient: id, email address or phone number."
    ),
]
Tag = Annotated[
    str | None, typer.Option(metavar="TAG", help="Only notifications whose request had this tag.")
]
Brand = Annotated[str | None, typer.Option(metavar="BRAND", help="Only notifications of this brand.")]

LONGEST_TEXT = 320  # characters, as over HTTP


def chosen(
    states: list[State] | None,
    type: str | None,
    provider: str | None,
    since: str | None,
    until: str | None,
    reason: str | None,
    recipient: str | None,
    tag: str | None,
    in_doubt: bool = False,
    brand: str | None = None,
) -> Filter:
    """The options as a filter. Raises typer.BadParameter naming the invalid option."""
    texts = {
        "--type": type,
        "--provider": provider,
        "--reason": reason,
        "--recipient": recipient,
        "--tag": tag,
        "--brand": brand,
    }
    for name, value in texts.items():
        if value is not None and not (value and value.isprintable()):
            raise typer.BadParameter("not one line of text", param_hint=name)
        if value is not None and len(value) > LONGEST_TEXT:
            raise typer.BadParameter(f"longer than {LONGEST_TEXT} characters", param_hint=name)
    made = Filter(
        states=tuple(states or ()),
        type=type,
        provider=provider,
        since=_moment(since, "--since"),
        until=_moment(until, "--until"),
        reason=reason,
        recipient=() if recipient is None else keys_of(recipient),
        tag=tag,
        brand=brand,
        in_doubt=in_doubt,
    )
    if made.since and made.until and made.since >= made.until:
        raise typer.BadParameter("not before --until, so nothing can match", param_hint="--since")
    return made


async def with_clients(ledger: Ledger, filter: Filter) -> Filter:
    """`filter`, ready for the ledger: the index of recipients begins with the client."""
    return replace(filter, clients=await clients.senders(ledger)) if filter.recipient else filter


def nothing_found(filter: Filter) -> None:
    """Say that `filter` matches no notification. Raises UnknownType if its type does not exist: flows/ is
    loaded only here, as that takes a second."""
    if filter.type is not None:
        from waypost.deployments.registry import find

        find(filter.type)
    err.print("no notification matches")


def _moment(text: str | None, option: str) -> datetime | None:
    """A moment in UTC, between 1970 and 2200."""
    if text is None:
        return None
    try:
        return moment_in(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time: use 30m, 2h, 3d or 1w (ago), or ISO 8601 such as 2026-01-31 or "
            "2026-01-31T08:00+01:00",
            param_hint=option,
        ) from None
