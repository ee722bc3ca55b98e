"""Errors in what was typed: which option, what is wrong, and where to read more."""

from __future__ import annotations

import re
from typing import Any

import typer
from pydantic import ValidationError

from waypost.model.validation_messages import in_words


def explained(error: typer.TyperException) -> str:
    """The error in one sentence, and the command whose help tells more."""
    told = _told(error).rstrip(".")
    ctx: Any = getattr(error, "ctx", None)
    return told if ctx is None else f"{told} (see `{ctx.command_path} --help`)"


def _told(error: Any) -> str:
    if not isinstance(error, typer.BadParameter):
        return _lower_first(error.format_message()).rstrip(".") + _hint(error)
    where = error.param_hint or _name(error.param)
    wrong = _wrong(error)
    return f"{where}: {wrong}" if where else wrong


def _hint(error: Any) -> str:
    """The option that an argument too many was meant for, if the command takes a file."""
    found = _EXTRA.fullmatch(error.format_message().rstrip("."))
    ctx: Any = getattr(error, "ctx", None)
    takes_a_file = ctx is not None and any("--from" in one.opts for one in ctx.command.params)
    return f"; did you mean --from {found[1]}?" if found and takes_a_file else ""


_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((\S+)\)")


def _wrong(error: typer.BadParameter) -> str:
    """What is wrong, in the words that the HTTP API uses too."""
    if isinstance(error.__cause__, ValidationError):
        [first, *_] = error.__cause__.errors(include_url=False)
        return in_words(first)
    return error.message or "missing"


def _name(param: Any) -> str:
    """The longest name of an option; the name of an argument as its help shows it."""
    if param is None:
        return ""
    return (
        max(param.opts, key=len) if param.param_type_name == "option" else param.metavar or param.name.upper()
    )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
