"""The command line: a command's module is imported when the command runs, as Prefect alone takes 1.5 s."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.app import App, OnDemand, group_of
from waypost.cli.output import complain, show_what_can_be_shown

# A command's summary is also the first line of its help; see its module.
COMMANDS = {
    "Begin": {
        "init": OnDemand("init:init", "Make a project for your own types in an empty folder."),
        "new": OnDemand("new:new", "Write a new type into your project, ready to run."),
        "preview": OnDemand("preview:preview", "Show mails as they will look, while you write them."),
    },
    "Run": {
        "up": OnDemand("up:up", "Run everything on this machine, until Ctrl-C."),
        "worker": OnDemand("worker:worker", "Run the flows of the work pool, until Ctrl-C."),
        "dispatch": OnDemand("dispatch:dispatch", "Start runs for due notifications, until Ctrl-C."),
        "deploy": OnDemand("deploy:deploy", "Create or update a deployment for each type."),
    },
    "Send": {
        "send": OnDemand("send:send", "Send the requests of a JSONL file, or a type's sample."),
        "remind": OnDemand("remind:remind", "Notify those whom a type's source names."),
        "verify": OnDemand("verify:verify", "Check a verification code."),
    },
    "Look": {
        "list": OnDemand("list:list_notifications", "List notifications, the newest first."),
        "explain": OnDemand("explain:explain", "Show the history of a notification."),
        "doctor": OnDemand("doctor:doctor", "Check every part, and say what to do about faults."),
        "docs": OnDemand("docs:docs", "Read the documentation of this version."),
    },
    "Act": {
        "retry": OnDemand("retry_cancel:retry", "Send again what failed or waits; ask first."),
        "cancel": OnDemand("retry_cancel:cancel", "Cancel unsent notifications; ask first."),
        "hold": OnDemand("hold:hold", "Stop sending a type until it is released."),
        "release": OnDemand("hold:release", "Send a held type again."),
        "recipients": OnDemand("recipients:app", "Show and forget recipients."),
        "suppressions": OnDemand("suppressions:app", "Manage the addresses that must not be written to."),
    },
    "Gateway": {
        "gateway": OnDemand("gateway:gateway", "Accept notifications over HTTP and SMTP."),
        "keys": OnDemand("keys:app", "Manage the gateway's API keys."),
        "webhooks": OnDemand("webhooks:app", "Manage the webhooks of the gateway's clients."),
        "unsubscribe": OnDemand("unsubscribe:unsubscribe", "Unsubscribe by the mail on standard input."),
    },
    "Maintain": {
        "templates": OnDemand("templates:app", "Check the templates, and bring their catalogues up to date."),
        "db": OnDemand("db:app", "Upgrade the ledger's database, or manage its keys."),
        "simulate": OnDemand("simulate:simulate", "Test the ledger under faults, in virtual time."),
    },
}

app = App(
    name="waypost",
    cls=group_of(COMMANDS),
    help="Deliver notifications as Prefect flows. Accepted notifications are never lost; possible duplicates "
    "are always reported.",
    invoke_without_command=True,
)


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
    from waypost.cli.startup_checks import warn_of_settings

    warn_of_settings()


# A mail server runs it, keeps the mail on this status, and returns it to its sender on others (sysexits.h).
FAILS_FOR_NOW = {"unsubscribe": os.EX_TEMPFAIL}


def main() -> None:
    """The `waypost` command. A known error is one line on standard error, with exit status 1."""
    from waypost.config import environment

    show_what_can_be_shown()
    try:
        environment.read_file(Path(os.environ.get("WAYPOST_PROJECT") or "."))
        environment.prepare()
        # No telemetry: Prefect's own is off unless the user turns it on.
        os.environ.setdefault("DO_NOT_TRACK", "1")
        app(prog_name="waypost")
    except SystemExit as end:
        from waypost.system.process import depart

        # The reader of our output (`head`) closed the pipe: not an error, with the usual exit status.
        code = 128 + signal.SIGPIPE if isinstance(end.__context__, BrokenPipeError) else end.code
        depart(code if isinstance(code, int) else int(code is not None))
        sys.exit(code)
    except Exception as error:
        from waypost.cli.errors import explained

        line, code = explained(error), FAILS_FOR_NOW.get("".join(sys.argv[1:2]), 1)
        if line is None and code == 1:
            raise
        complain(line or f"internal error: {type(error).__name__}")
        sys.exit(code)
