"""Asks for confirmation before an action that cannot be undone."""

from __future__ import annotations

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
    typer.confirm(question, abort=True, err=True)
