"""Locales and time zones, checked."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files

from babel import Locale, UnknownLocaleError
from babel.localedata import locale_identifiers

_LOCALE = re.compile(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}\Z")


@lru_cache(1024)
def known_locale(value: str) -> str:
    """`value` in the form `pt-BR`. Raises ValueError."""
    # Babel ignores what follows a dot or an @, so the form is checked first.
    try:
        if not _LOCALE.match(value):
            raise ValueError
        return str(Locale.parse(value.replace("-", "_"))).replace("_", "-")
    except (UnknownLocaleError, ValueError):
        raise ValueError("not a locale such as 'de' or 'pt-BR'") from None


@cache
def locales() -> tuple[str, ...]:
    """Every locale, in the form `pt-BR`."""
    return tuple(sorted({known_locale(name) for name in locale_identifiers() if _LOCALE.match(name)}))


@cache
def timezones() -> tuple[str, ...]:
    """Every IANA zone, by name."""
    return tuple(sorted(_timezones()))


@cache
def _timezones() -> frozenset[str]:
    """The IANA zones. The machine's own zone files are not used: they include others, such as `localtime`.
    `Factory` is left out: it means that no zone was set."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split()) - {"Factory"}


def known_timezone(value: str) -> str:
    """`value` if it is an IANA time zone. Raises ValueError."""
    if value not in _timezones():
        raise ValueError("not an IANA time zone such as 'Europe/Paris'")
    return value
