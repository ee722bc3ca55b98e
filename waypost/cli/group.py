"""The group of commands, which reports invalid values in plain words."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from waypost.model.validation_messages import in_words


class Commands(TyperGroup):
    """A group that reports invalid values in the same words as invalid fields of a request."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = _told(error, error.__cause__)
            raise


def _told(error: typer.BadParameter, cause: ValidationError) -> str:
    [first, *_] = cause.errors(include_url=False)
    told = in_words(first)
    if not first["type"].startswith("uuid"):
        return told
    of_webhooks = error.ctx is not None and " webhooks " in error.ctx.command_path
    return f"{told}; `waypost {'webhooks ' if of_webhooks else ''}list` shows them"
