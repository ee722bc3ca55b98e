"""The key that codes and links are made with."""

from __future__ import annotations

import os
import secrets

from waypost.settings import Settings, prepare_home


def secret_key(settings: Settings) -> bytes:
    """WAYPOST_SECRET_KEY, or the key kept in `secret.key` under home, made on first use.

    Made atomically: two processes that start at once end with the same key.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = prepare_home(settings) / "secret.key"
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
