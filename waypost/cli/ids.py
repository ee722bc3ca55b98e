"""Ids as arguments: in full, or short as the lists show them on a terminal."""

from __future__ import annotations

import typer

from waypost.cli.output import out
from waypost.ledger.operations.short_ids import ShortId, parse, short


def given_id(text: str, listed: str = "list") -> ShortId:
    """An argument as an id. Raises typer.BadParameter for a text that cannot be one. listed: the command that
    lists such ids."""
    try:
        return parse(text, listed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def shown_id(id: object) -> str:
    """An id for a list: short on a terminal, in full for scripts."""
    return short(id) if out.is_terminal else str(id)
