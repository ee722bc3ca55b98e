"""Errors people can act on, told in one line."""

from __future__ import annotations

from pydantic import ValidationError

from waypost.wording import in_words


def explained(error: Exception) -> str | None:
    """What happened and what to do, or None for what nobody foresaw (a traceback serves better)."""
    if isinstance(error, ValidationError) and error.title == "Settings":
        return "; ".join(_setting(part["loc"], in_words(part)) for part in error.errors())
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
            return "there is no ledger yet: start `waypost up`, or make one with `waypost db upgrade`"
        case (("sqlalchemy" | "asyncpg"), _):
            return (
                "the ledger's database does not answer as it should "
                f"({_first_line(getattr(error, 'orig', None) or error)}); see `waypost doctor`"
            )
        case "builtins", ("ValueError" | "ConnectionRefusedError" | "FileNotFoundError" | "PermissionError"):
            return str(error)
        case _:
            return None


def _setting(where: tuple[int | str, ...], wrong: str) -> str:
    name, *inside = map(str, where)
    return ": ".join(filter(None, (f"WAYPOST_{name.upper()}", ".".join(inside), wrong)))


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
