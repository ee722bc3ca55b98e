"""Errors that people can act on, in one line."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from waypost.model.provider import Provider
from waypost.model.validation_messages import in_words

_LETTERS = "of small letters a to z, digits and hyphens"
_NAME = f"a provider's name is {_LETTERS}, begins with a letter or a digit, and has 41 characters at most"
_KIND = f"a kind is {_LETTERS}, begins with a letter, and has 41 characters at most"


def explained(error: Exception) -> str | None:
    """What happened and what to do, or None for an unexpected error (a traceback is better)."""
    if isinstance(error, ValidationError) and error.title == "Settings":
        return "; ".join(_setting(part) for part in error.errors())
    name = f"{type(error).__module__}.{type(error).__name__}"
    match name.split(".")[0], type(error).__name__:
        case (("httpx" | "httpcore"), _):
            return (
                "the Prefect API does not answer. Start `waypost up`, or set PREFECT_API_URL to your server; "
                "`waypost doctor` tells more"
            )
        case (("waypost" | "deployments"), _):
            return str(error)
        case "sqlalchemy", _ if "unable to open database file" in str(error):
            return (
                "the ledger's file cannot be opened where WAYPOST_DATABASE_URL or WAYPOST_HOME leads: make "
                "its folder, and let this user read and write there"
            )
        case (("sqlalchemy" | "asyncpg"), _):
            return (
                "the ledger's database does not answer as it should "
                f"({_first_line(getattr(error, 'orig', None) or error)}); see `waypost doctor`"
            )
        case "builtins", ("ValueError" | "ConnectionRefusedError" | "FileNotFoundError" | "PermissionError"):
            return str(error)
        case _:
            return None


def pages(error: ValidationError) -> str:
    """The pages of docs/ that describe the invalid settings."""
    wrong = {"providers" if part["loc"][:1] == ("providers",) else "settings" for part in error.errors()}
    return " and ".join(f"docs/{name}.md" for name in sorted(wrong))


def _setting(part: ErrorDetails) -> str:
    name, *inside = map(str, part["loc"])
    wrong = in_words(part)
    if name == "providers":
        inside, wrong = _of_a_provider(inside, part["type"], wrong)
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


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
