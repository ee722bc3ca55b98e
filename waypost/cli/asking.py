"""Asking a person before something is done that cannot be undone."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Act without asking.")]


class Refused(RuntimeError):
    """Nothing was done, and why."""


def ask(question: str, unasked: str) -> None:
    """Return when the person at the terminal says yes. Raises Refused with `unasked` where there is no
    terminal, and typer.Abort for a no."""
    if not sys.stdin.isatty():
        raise Refused(unasked)
    typer.confirm(question, abort=True, err=True)
