"""The names of applications, the clients of the gateway."""

from __future__ import annotations

import re

_CLIENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,39}[a-z0-9])?")


def is_client(text: str) -> bool:
    """Whether `text` is a valid name for an application."""
    return _CLIENT.fullmatch(text) is not None
