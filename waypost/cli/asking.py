"""Asks for confirmation before an action that cannot be undone."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Act without asking.")]


class Refused(RuntimeError):
    """The command did nothing. Says why."""


def ask(question: str, unasked: str) -> None:
    """Return if the person at the terminal says yes. Raises Refused with `unasked` without a terminal, and
    typer.Abort for a no."""
    if not sys.stdin.isatty():
        raise Refused(unasked)
    # asyncio's handler would leave the question open.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        typer.confirm(question, abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)
