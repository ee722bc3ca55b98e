"""AUTH (RFC 4954) with an API key: the mechanisms PLAIN (RFC 4616) and LOGIN.

The password is the key, wp_<id>_<secret>; the user name is ignored.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Awaitable, Callable

from waypost.gateway.auth import key_format
from waypost.gateway.auth.authenticator import Authenticator, Caller
from waypost.gateway.problems import Problem

MECHANISMS = ("PLAIN", "LOGIN")
REFUSED = "535 5.7.8 invalid key: the password must be a valid API key, wp_<id>_<secret>"
AWAY = "454 4.7.0 API keys cannot be checked at present; try again later"

Login = tuple[str, str]  # a key's id and its secret
Ask = Callable[[str], Awaitable[str]]  # sends a challenge, returns the client's line


class NotAuthenticated(Exception):
    """Authentication failed. The text is the reply. refused: whether the key is not a working key."""

    def __init__(self, reply: str, refused: bool = False) -> None:
        super().__init__(reply)
        self.reply = reply
        self.refused = refused


async def login(mechanism: str, initial: str | None, ask: Ask) -> Login:
    """The key that the client sends. initial: the response sent with AUTH itself. Raises NotAuthenticated."""
    if mechanism == "PLAIN":
        parts = _decoded(initial if initial is not None else await ask("")).split("\0")
        password = parts[2] if len(parts) == 3 else ""
    else:
        _decoded(initial if initial is not None else await ask("VXNlcm5hbWU6"))  # "Username:"
        password = _decoded(await ask("UGFzc3dvcmQ6"))  # "Password:"
    found = key_format.parse_key(password)
    if found is None:
        raise NotAuthenticated(REFUSED, refused=True)
    return found


async def caller_of(callers: Authenticator, login: Login) -> Caller:
    """The caller that owns the key, as the ledger has it now. Raises NotAuthenticated."""
    try:
        return await callers.by_key(*login)
    except Problem as problem:
        if problem.kind.code == "unavailable":
            raise NotAuthenticated(AWAY) from None
        raise NotAuthenticated(REFUSED, refused=True) from None


def _decoded(line: str) -> str:
    if line == "*":
        raise NotAuthenticated("501 5.7.0 authentication cancelled")
    try:
        # A lone = stands for an empty response (RFC 4954, section 4).
        return b64decode("" if line == "=" else line, validate=True).decode()
    except (binascii.Error, ValueError):
        raise NotAuthenticated("501 5.5.2 invalid base64") from None
