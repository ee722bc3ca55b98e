"""Authenticates callers by API key or access token, and checks their scopes and rate limits."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from waypost.gateway.auth import key_format as keys
from waypost.gateway.auth.token_bucket import Bucket
from waypost.gateway.problems import Problem
from waypost.gateway.unavailable import SOON, file_lost
from waypost.ledger import Ledger
from waypost.ledger.database.failures import log_failure
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.records import api_keys
from waypost.ledger.records.api_keys import ApiKey
from waypost.system.clock import now

LOOKED_AGAIN_SECONDS = 0.5  # between reads of the keys: a revoked key stops working within a second
UNKNOWN_SECONDS = 0.05  # between reads for unknown keys: a key may be new, or a guess that must cost little

logger = logging.getLogger("waypost.gateway")

_CHALLENGE = {"www-authenticate": 'Bearer realm="waypost"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """An application. key: the id under which its requests are counted. brand: the only brand that its
    requests are for; None if they choose. only_to: the only addresses and @domains that they may go to;
    None for any."""

    client: str
    scopes: tuple[str, ...]
    key: str
    rate: int | None = None
    brand: str | None = None
    only_to: tuple[str, ...] | None = None

    def require(self, action: str, type: str | None = None) -> None:
        """Raise Problem unless the caller may do `action` on notifications of `type`."""
        if keys.allows(self.scopes, action, type):
            return
        of = f" for the type {type}" if type else ""
        raise Problem(
            "forbidden", f"this request needs the scope {action}{of}; the key has {', '.join(self.scopes)}"
        )

    def require_any(self, action: str) -> list[str] | None:
        """Raise Problem unless the caller may do `action` on some type. Returns these types; None for all."""
        types = keys.types_of(self.scopes, action)
        if types == []:
            self.require(action)
        return types


class Authenticator:
    """Caches the active keys. While requests arrive, they are read from the ledger twice a second, and sooner
    for an unknown key, which may be new.

    tokens: returns the caller of a bearer token that is not a key, if the settings name an issuer.
    """

    def __init__(self, ledger: Ledger, tokens: Callable[[str], Awaitable[Caller]] | None = None) -> None:
        self._ledger = ledger
        self._tokens = tokens
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._buckets: dict[str, Bucket] = {}

    async def authenticate(self, authorization: str) -> Caller:
        """The caller of an Authorization header; counts the request. Raises Problem. Its text is the same for
        all faults of a key, so that it does not help to guess keys."""
        caller = await self.verify(authorization)
        self.charge(caller)
        return caller

    async def verify(self, authorization: str) -> Caller:
        """Like `authenticate`, but does not count the request."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Problem(
                "unauthenticated", "send an API key: Authorization: Bearer wp_...", headers=_CHALLENGE
            )
        return await self._who(text.strip())

    async def _who(self, text: str) -> Caller:
        parts = keys.parse_key(text)
        if parts is None:
            if self._tokens is not None and text.count(".") == 2:
                return await self._tokens(text)
            raise _no_such_key()
        return await self.by_key(*parts)

    async def by_key(self, id: str, secret: str) -> Caller:
        """The caller of a key that works. Raises Problem."""
        key = await self._find(id)
        right = keys.matches(secret, key.secret_hash if key else b"")
        if key is None or not right or not key.works(now()):
            raise _no_such_key()
        only_to = None if key.only_to is None else tuple(key.only_to)
        return Caller(key.client, tuple(key.scopes), key.id, key.rate, key.brand, only_to)

    async def _find(self, id: str) -> ApiKey | None:
        clock = asyncio.get_running_loop().time
        came = clock()
        if came - self._read_at > LOOKED_AGAIN_SECONDS:
            await self._read()
        while id not in self._keys and self._read_at < came:
            await asyncio.sleep(self._read_at + UNKNOWN_SECONDS - clock())
            if self._read_at < came:  # else another waiting caller has read them
                await self._read()
        return self._keys.get(id)

    async def _read(self) -> None:
        """Share one read among all waiting callers; cancelling one of them does not cancel the read."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        await asyncio.shield(self._reading)

    async def _read_all(self) -> None:
        at = asyncio.get_running_loop().time()
        try:
            self._keys = {key.id: key for key in (await api_keys.active_keys(self._ledger)).keys}
            self._read_at = at
        except Exception as error:  # each driver has errors of its own
            # Refuse the cached keys too: they may have been revoked by now.
            log_failure(logger, "API keys cannot be read", error)
            raise _no_ledger(error) from None
        finally:
            self._reading = None

    def charge(self, caller: Caller) -> None:
        """Count a request of `caller`. Raises Problem if it exceeds the caller's rate limit."""
        if caller.rate is None:
            return
        bucket = self._buckets.setdefault(caller.key, Bucket(caller.rate))
        bucket.per_second = caller.rate
        if wait := bucket.take(asyncio.get_running_loop().time()):
            raise Problem(
                "too-many-requests",
                f"rate limit of {caller.client} exceeded ({caller.rate} requests a "
                f"second); retry in {math.ceil(wait)} s",
                headers={"retry-after": str(math.ceil(wait))},
            )


def _no_such_key() -> Problem:
    return Problem(
        "unauthenticated",
        "invalid API key: it is unknown, wrong, expired or revoked",
        headers={"www-authenticate": 'Bearer realm="waypost", error="invalid_token"'},
    )


def _no_ledger(error: Exception) -> Problem:
    if isinstance(error, FileReplaced):
        return file_lost()
    return Problem(
        "unavailable",
        "API keys cannot be checked: the ledger does not respond. Nothing was done; retry",
        headers=SOON,
    )
