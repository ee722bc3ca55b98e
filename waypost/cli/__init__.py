"""The command line. Each command imports what it needs when it runs: Prefect alone takes 1.5 s."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from waypost.cli import (
    db,
    deploy,
    dispatch,
    doctor,
    explain,
    gateway,
    hold,
    keys,
    recipients,
    retry_cancel,
    send,
    simulate,
    up,
    verify,
    webhooks,
    worker,
)
from waypost.cli import list as listing
from waypost.cli.group import Commands
from waypost.cli.startup_checks import warn_of_settings
from waypost.config import environment

app = typer.Typer(
    name="waypost",
    cls=Commands,
    help="Deliver notifications as Prefect flows. Accepted notifications are never lost; possible duplicates "
    "are always reported.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs fill the terminal's width
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(worker.worker)
app.command()(dispatch.dispatch)
app.command()(gateway.gateway)
app.command()(deploy.deploy)
app.command()(send.send)
app.command("list")(listing.list_notifications)
app.command()(explain.explain)
app.command("retry")(retry_cancel.retry)
app.command("cancel")(retry_cancel.cancel)
app.command()(hold.hold)
app.command()(hold.release)
app.command()(verify.verify)
app.command()(doctor.doctor)
app.command()(simulate.simulate)
app.add_typer(keys.app, name="keys")
app.add_typer(recipients.app, name="recipients")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(db.app, name="db")


@app.callback()
def _waypost(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"waypost {installed('waypost')}")
        raise typer.Exit
    warn_of_settings()


def main() -> None:
    """The `waypost` command. A known error is one line on standard error, with exit status 1."""
    from waypost.cli.errors import explained
    from waypost.system.process import depart

    environment.prepare()
    # No telemetry: Prefect's own is off unless the user turns it on.
    os.environ.setdefault("DO_NOT_TRACK", "1")

    try:
        app()
    except SystemExit as end:
        # The reader of our output (`head`) closed the pipe: not an error, with the usual exit status.
        code = 128 + signal.SIGPIPE if isinstance(end.__context__, BrokenPipeError) else end.code
        depart(code if isinstance(code, int) else int(code is not None))
        sys.exit(code)
    except Exception as error:
        line = explained(error)
        if line is None:
            raise
        typer.secho(f"waypost: {line}", fg=typer.colors.RED, err=True)
        sys.exit(1)
