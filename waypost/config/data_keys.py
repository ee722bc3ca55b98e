"""The key ring of the personal data in the ledger."""

from __future__ import annotations

from waypost.config.named_keys import named_keys
from waypost.config.secret_key import is_unshared, kept_key, known_key, secret_key
from waypost.config.settings import Settings
from waypost.system.key_ring import KeyRing, derived


def key_ring(settings: Settings) -> KeyRing:
    """The keys of WAYPOST_DATA_KEYS, then that of the secret key, which is made on first use, then that of
    the key kept under home. A process that shares its ledger needs one of the two settings: a key of its own
    home would be unknown to the other processes, so without them the ring is empty."""
    return _ring(settings, None if is_unshared(settings) else secret_key(settings))


def known_ring(settings: Settings) -> KeyRing:
    """Like `key_ring`, without a key that has not been made yet."""
    return _ring(settings, None if is_unshared(settings) else known_key(settings))


def _ring(settings: Settings, secret: bytes | None) -> KeyRing:
    named = [] if settings.data_keys is None else named_keys(settings.data_keys.get_secret_value())
    secrets = [secret, kept_key(settings)] if named or secret else []
    return KeyRing([*named, *(derived(one) for one in secrets if one)])
