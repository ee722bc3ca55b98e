"""The secret key for codes and links."""

from __future__ import annotations

import os
import secrets

from waypost.config.settings import Settings, prepare_home

_FILE = "secret.key"


def secret_key(settings: Settings) -> bytes:
    """WAYPOST_SECRET_KEY, or the key kept in `secret.key` under home, made on first use.

    Made atomically: two processes that start at once get the same key.
    """
    if known := known_key(settings):
        return known
    path = prepare_home(settings) / _FILE
    if not path.exists():
        made = path.with_name(f"secret.key.{secrets.token_hex(8)}")
        made.touch(mode=0o600)
        made.write_text(secrets.token_urlsafe(48))
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_bytes()


UNSHARED = (
    "the ledger is shared, but WAYPOST_SECRET_KEY is not set: set it to the same long "
    "random text wherever Waypost runs"
)


def is_unshared(settings: Settings) -> bool:
    """Whether other processes may use the ledger, and would make keys of their own."""
    return settings.database_url is not None and settings.secret_key is None


def known_key(settings: Settings) -> bytes | None:
    """The secret key; None if it has not been made yet."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    return kept_key(settings)


def kept_key(settings: Settings) -> bytes | None:
    """The key in `secret.key` under home; None if there is none."""
    path = settings.home / _FILE
    return path.read_bytes() if path.exists() else None
