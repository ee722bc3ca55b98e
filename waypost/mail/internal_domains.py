"""Domains of a company's own network, which a validator of public addresses rejects."""

from __future__ import annotations

import os
import re
from functools import lru_cache

SETTING = "WAYPOST_INTERNAL_DOMAINS"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")  # RFC 1123, section 2.1


def parse(text: str) -> frozenset[str]:
    """Parse `corp.local, intranet, localhost`. Raises ValueError naming the invalid entry."""
    named = [one.strip().lower() for one in text.split(",") if one.strip()]
    for one in named:
        if not _DOMAIN.fullmatch(one):
            raise ValueError(f"{one!r} is not a domain such as corp.local; write it without @ or wildcard")
    return frozenset(named)


def internal_domain(domain: str) -> str | None:
    """`domain` in lower case if it is an internal one or lies below one, else None.

    The setting is read from the environment: addresses are also validated where no Settings object exists,
    for example by Prefect before a run begins.
    """
    allowed = _allowed(os.environ.get(SETTING, ""))
    if not allowed:
        return None
    name = domain.lower()
    above = (name.split(".", count)[-1] for count in range(name.count(".") + 1))
    return name if _DOMAIN.fullmatch(name) and not allowed.isdisjoint(above) else None


@lru_cache(4)
def _allowed(text: str) -> frozenset[str]:
    try:
        return parse(text)
    except ValueError:
        return frozenset()  # Settings reports the error
