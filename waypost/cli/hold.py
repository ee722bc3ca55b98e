"""`waypost hold TYPE` and `waypost release TYPE`: stop a type, and let it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from waypost.cli.output import AsJson, plain, print_json
from waypost.cli.with_ledger import with_ledger
from waypost.config.instance import connect
from waypost.config.settings import Settings
from waypost.ledger.queue.holds import hold as hold_in
from waypost.ledger.queue.holds import release as release_in

Type = Annotated[
    str, typer.Argument(metavar="TYPE", help="Type of notification, such as order-confirmation.")
]


def hold(
    type: Type,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason, which doctor, explain and send show.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Stop sending a type until it is released.

    Runs in flight stop after the message on the wire. Notifications that are accepted meanwhile wait, and
    expire at their deadline. `waypost release TYPE` ends the hold.
    """
    settings = connect(Settings())
    from waypost.deployments.registry import find

    name = find(type).type.name

    held = with_ledger(lambda ledger: hold_in(ledger, name, plain(reason)), settings)
    if as_json:
        print_json(held)
        return
    since = f" since {plain(held.hold.since)} UTC" if held.already else ""
    typer.echo(f"{name} is held{since}{': ' if held.hold.reason else ''}{held.hold.reason}")
    wait = "waits" if held.waiting == 1 else "wait"
    typer.echo(f"{held.waiting} {wait}; runs gave {held.taken_back} of them back")
    if held.sending:
        typer.echo(f"{held.sending} on the wire {'is' if held.sending == 1 else 'are'} still sent")


def release(type: Type, as_json: AsJson = False) -> None:
    """Send a held type again."""
    settings = connect(Settings())
    released = with_ledger(lambda ledger: release_in(ledger, type), settings)
    if released.hold is None:
        from waypost.deployments.registry import find

        find(type)  # a type that is gone from flows/ may still be held, and released
    if as_json:
        print_json(released)
        return
    typer.echo(f"{type} was not held" if released.hold is None else f"{type} is released")
    due = f"{released.due} {'is' if released.due == 1 else 'are'} due now"
    typer.echo(f"{due}, {released.waiting - released.due} later")
