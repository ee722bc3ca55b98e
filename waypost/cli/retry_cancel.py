"""`waypost retry` and `waypost cancel`: count, ask, act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import typer

from waypost.cli import filters
from waypost.cli.asking import Refused, Yes, ask
from waypost.cli.ids import given_id
from waypost.cli.interrupted import told_if_interrupted
from waypost.cli.output import AsJson, err, print_json
from waypost.cli.with_ledger import with_ledger
from waypost.config.instance import connect
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.operations.retry_cancel import (
    Progress,
    Selection,
    Situation,
    not_cancelled,
    not_retried,
    preview,
    unknown,
)
from waypost.ledger.operations.retry_cancel import cancel as cancel_in
from waypost.ledger.operations.retry_cancel import retry as retry_in
from waypost.ledger.operations.search import Filter
from waypost.ledger.operations.short_ids import ShortId, notification_id
from waypost.model.states import State
from waypost.system.clock import now

Ids = Annotated[
    list[ShortId] | None,
    typer.Argument(
        parser=given_id, metavar="ID", help="Ids of notifications: in full, or as `waypost list` shows them."
    ),
]
_IN_DOUBT = "held in doubt: it may arrive twice"


@dataclass(frozen=True, slots=True)
class Deed:
    """An action on notifications. why_left: why a notification is left alone; act: acts on the others."""

    verb: str
    done: str
    why_left: Callable[[Situation], str]
    act: Callable[[Ledger, Filter, Progress], Awaitable[Counter[State]]]


def _retrying() -> Deed:
    from waypost.deployments.registry import registered

    deadlines = {name: one.type.deadline for name, one in registered().items()}

    def act(ledger: Ledger, filter: Filter, progress: Progress) -> Awaitable[Counter[State]]:
        return retry_in(ledger, filter, deadlines, progress)

    return Deed("retry", "retried", partial(not_retried, deadlines=deadlines), act)


def _cancelling() -> Deed:
    return Deed("cancel", "cancelled", not_cancelled, cancel_in)


_INTERRUPTED = "interrupted: what was changed before stays changed; run the command again for the rest"


def _command(deed: Callable[[], Deed], help: str) -> Callable[..., None]:
    """A command that does `deed` to the notifications that its options select."""

    def command(
        ids: Ids = None,
        state: filters.States = None,
        type: filters.Type = None,
        recipient: filters.Recipient = None,
        tag: filters.Tag = None,
        provider: filters.Provider = None,
        since: filters.Since = None,
        until: filters.Until = None,
        reason: filters.Reason = None,
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        filter = filters.chosen(state, type, provider, since, until, reason, recipient, tag)
        _check(ids, filter)
        settings = connect(Settings())

        async def act(ledger: Ledger) -> None:
            wanted = await _wanted(ledger, ids or (), filter)
            await _intervene(ledger, deed(), wanted, yes, as_json)

        with told_if_interrupted(lambda: _INTERRUPTED):
            with_ledger(act, settings)

    command.__doc__ = help
    return command


retry = _command(
    _retrying,
    """Send again what failed or waits; ask first.

    Select notifications by their ids, or by the options. Those that failed, expired, were cancelled, are
    deferred or are held in doubt are sent again, with a new deadline. Those that were sent are not.
    """,
)
cancel = _command(
    _cancelling,
    """Cancel unsent notifications; ask first.

    Select notifications by their ids, or by the options. A message on the wire cannot be cancelled.
    """,
)


def _check(ids: Sequence[ShortId] | None, filter: Filter) -> None:
    """Raise Refused unless there are ids or a filter, and not both."""
    if ids and filter != Filter():
        raise Refused("nothing was done: give ids or options such as --state, not both")
    if not ids and filter == Filter():
        raise Refused("nothing was done: give ids, or options such as --state or --type")


async def _wanted(ledger: Ledger, ids: Sequence[ShortId], filter: Filter) -> Filter:
    """The notifications meant. A filter selects only those accepted before now, as counted."""
    if ids:
        found = [await notification_id(ledger, id) for id in ids]
        return Filter(ids=tuple(dict.fromkeys(found)))
    filter = await filters.with_clients(ledger, filter)
    return replace(filter, until=min(filter.until or now(), now()))


async def _intervene(ledger: Ledger, deed: Deed, wanted: Filter, yes: bool, as_json: bool) -> None:
    if missing := await unknown(ledger, wanted.ids):
        listed = ", ".join(map(str, missing[:10]))
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise Refused(f"nothing was done: there is no notification {listed}{more} in this ledger")
    shares = await preview(ledger, wanted, deed.why_left)
    _show(deed, shares, wanted)
    able = sum(share.count for share in shares if not share.left)
    done: Counter[State] = Counter()
    if able:
        if not yes:
            ask(
                f"{deed.verb} {able}?",
                f"nothing was done, as there is no terminal to ask at: add --yes to {deed.verb} {able}",
            )
        done = await deed.act(ledger, wanted, partial(_progress, able))
    _conclude(deed, shares, done, as_json)
    if wanted.ids and done.total() < len(wanted.ids):
        raise typer.Exit(1)


def _show(deed: Deed, shares: Sequence[Selection], wanted: Filter) -> None:
    """The counts, on standard error: standard output is for the result."""
    if not shares:
        filters.nothing_found(wanted)
    for share in shares:
        err.print(selection_in_words(deed.verb, deed.done, share), markup=False, soft_wrap=True)


def selection_in_words(verb: str, done: str, share: Selection) -> str:
    """The line of one count: what can be done to the notifications of a state, or why they are left alone."""
    doubt = f"; {_IN_DOUBT}" if verb == "retry" and share.in_doubt else ""
    told = f"left alone: {share.left}" if share.left else f"can be {done}{doubt}"
    return f"{share.count:>8}  {share.state + ':':<11} {told}"


def _progress(able: int, done: int) -> None:
    if able > done:
        err.print(f"{done} of {able} ...")


def _conclude(deed: Deed, shares: Sequence[Selection], done: Counter[State], as_json: bool) -> None:
    able = sum(share.count for share in shares if not share.left)
    if as_json:
        left = [{"state": one.state, "count": one.count, "why": one.left} for one in shares if one.left]
        moved_on = max(able - done.total(), 0)
        print_json({deed.done: dict(done), "total": done.total(), "left": left, "moved_on": moved_on})
        return
    if able:
        typer.echo(f"{done.total()} {deed.done}")
    if able > done.total():
        err.print(f"{able - done.total()} changed their state meanwhile, and were left alone")
