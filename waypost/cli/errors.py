"""Errors that people can act on, in one line."""

from __future__ import annotations

import os

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from waypost.config.instance import to_reach_prefect
from waypost.config.settings import Settings
from waypost.model.brand import BrandTerms
from waypost.model.provider import Provider
from waypost.model.validation_messages import in_words

_LETTERS = "small letters a to z, digits and hyphens, 41 at most"
_NAME = f"not a provider's name: use {_LETTERS}; begin with a letter or a digit"
_BRAND = _NAME.replace("provider", "brand")
_KIND = f"not a kind of channel: use {_LETTERS}; begin with a letter"


def explained(error: Exception) -> str | None:
    """What happened and what to do, or None for an unexpected error (a traceback is better)."""
    if isinstance(error, ValidationError) and error.title == "Settings":
        return "; ".join(_setting(part) for part in error.errors())
    name = f"{type(error).__module__}.{type(error).__name__}"
    match name.split(".")[0], type(error).__name__:
        case (("httpx" | "httpcore"), _):
            advice = to_reach_prefect(Settings().home)
            return f"the Prefect API does not respond: {advice}; see `waypost doctor`"
        case (("waypost" | "deployments"), _):
            return str(error)
        case "sqlalchemy", _ if "unable to open database file" in str(error):
            return (
                "the ledger's file cannot be opened: make the folder that WAYPOST_DATABASE_URL or "
                "WAYPOST_HOME names, and let this user read and write there"
            )
        case (("sqlalchemy" | "asyncpg"), _):
            return (
                "the ledger's database failed "
                f"({_first_line(getattr(error, 'orig', None) or error)}); see `waypost doctor`"
            )
        case _ if isinstance(error, OSError) and (error.filename or error.strerror):
            return _of_the_system(error)
        case "builtins", "ValueError":
            return str(error)
        case _:
            return None


def _of_the_system(error: OSError) -> str:
    """What the system refuses: for a path, which one. A path that the user gave is often no folder at all."""
    said = (error.strerror or type(error).__name__).lower()
    if error.filename is None:
        return said
    path = os.fsdecode(error.filename)
    return f"{path} cannot be used ({said}): name another path, or correct its permissions"


def pages(error: ValidationError) -> str:
    """The commands that show the pages of the documentation on the invalid settings."""
    named = {part["loc"][0] for part in error.errors() if part["loc"]}
    wrong = {str(name) if name in ("providers", "brands") else "settings" for name in named}
    return " and ".join(f"`waypost docs {name}`" for name in sorted(wrong))


def _setting(part: ErrorDetails) -> str:
    name, *inside = map(str, part["loc"])
    wrong = in_words(part)
    if name == "providers":
        inside, wrong = _of_a_provider(inside, part["type"], wrong)
    if name == "brands":
        inside, wrong = _of_a_brand(inside, part["type"], wrong)
    return ": ".join(filter(None, (f"WAYPOST_{name.upper()}", ".".join(inside), wrong)))


def _of_a_provider(inside: list[str], type: str, wrong: str) -> tuple[list[str], str]:
    """The place of the error in WAYPOST_PROVIDERS, and what is wrong, with what is allowed instead."""
    match inside, type:
        case [name, "[key]"], _:
            return [name], _NAME
        case [_, _], "extra_forbidden":
            return inside, f"there is no such term; there are {', '.join(Provider.model_fields)}"
        case [_, "kind"], "string_pattern_mismatch":
            return inside, _KIND
        case _:
            return inside, wrong


def _of_a_brand(inside: list[str], type: str, wrong: str) -> tuple[list[str], str]:
    """The same for WAYPOST_BRANDS."""
    match inside, type:
        case [name, "[key]"], _:
            return [name], _BRAND
        case [_, _], "extra_forbidden":
            return inside, f"there is no such term; there are {', '.join(BrandTerms.model_fields)}"
        case [_, "logo"], _:
            return inside, "not an address that begins with https://"
        case [_, "providers", kind, "[key]"], _:
            return [*inside[:2], kind], _KIND
        case _:
            return inside, wrong


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
