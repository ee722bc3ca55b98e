"""Fetches and caches the signing keys of an OpenID Connect issuer."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import httpx

from waypost.config.environment import by_proxy
from waypost.gateway.auth.issuer_documents import FAILURES, Unusable, document
from waypost.gateway.auth.jwks import SigningKey, signing_keys
from waypost.net.allowed_networks import Address, admitting, is_public
from waypost.net.guarded_connect import NotAdmitted
from waypost.net.hosts import is_secure
from waypost.net.no_answer import no_answer

FRESH_SECONDS = 3600.0
STALE_SECONDS = 86_400.0  # in a longer outage, the issuer may have withdrawn a stolen key
AGAIN_SECONDS = 30.0  # between fetches, even if tokens name unknown keys
AWAY_SECONDS = 5.0  # between a failed fetch and the next
ANSWERS_WITHIN = 5.0
PATIENCE_SECONDS = 1.0  # how long a request waits for newer keys if there are cached keys

logger = logging.getLogger("waypost.gateway")


class IssuerAway(RuntimeError):
    """The issuer does not answer, and no usable key of it is cached. seconds: until the next fetch."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the token issuer does not respond correctly")
        self.seconds = max(1, math.ceil(seconds))


class Issuer:
    """url: of the issuer. clock: seconds of a monotonic clock.

    Keys are fetched on first use, after an hour, and when a token names an unknown key. Concurrent requests
    share one fetch. While the issuer does not answer, the cached keys are used for at most a day.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url  # after a fetch, as the issuer's document writes it: tokens use that form
        self._clock = clock
        self._keys: list[SigningKey] = []
        self._fetched_at = -math.inf
        self._next_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._tls = httpx.create_ssl_context()
        self.trouble = ""  # the error of the last fetch; empty if it succeeded

    async def key(self, id: str | None) -> SigningKey | None:
        """The key with that id; None if the issuer has no such key. `id` may be None if the issuer has only
        one key. Raises IssuerAway."""
        if self._age() > FRESH_SECONDS:
            await self.refresh()
        if self._age() > STALE_SECONDS:
            raise IssuerAway(self._next_at - self._clock())
        found = self._find(id)
        if found is None:
            await self.refresh()
            found = self._find(id)
        return found

    async def refresh(self) -> None:
        """Fetch the keys, unless that was just done. Cancelling a caller does not cancel the fetch."""
        if self._fetching is None:
            if self._clock() < self._next_at:
                return
            self._fetching = asyncio.create_task(self._fetch())
        known = self._age() <= STALE_SECONDS
        await asyncio.wait({self._fetching}, timeout=PATIENCE_SECONDS if known else None)

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _find(self, id: str | None) -> SigningKey | None:
        if id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.kid == id), None)

    async def _fetch(self) -> None:
        self._next_at = self._clock() + ANSWERS_WITHIN + AWAY_SECONDS
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._fetch_keys()
            self._fetched_at, self.trouble = self._clock(), ""
            self._next_at = self._clock() + AGAIN_SECONDS
        except (*FAILURES, httpx.InvalidURL, TimeoutError, ValueError) as error:
            self._next_at = self._clock() + AWAY_SECONDS
            told = isinstance(error, Unusable | NotAdmitted)
            self.trouble = str(error) if told else f"the issuer {no_answer(error, ANSWERS_WITHIN)}"
            where = f"{self.url}{by_proxy(self.url)}"
            logger.warning("the keys of the token issuer %s cannot be fetched: %s", where, self.trouble)
        finally:
            self._fetching = None

    async def _fetch_keys(self) -> None:
        """The settings name the issuer, so it may be on a private network. The URL of its keys, which its
        document names, may be on a private network only if the issuer is."""
        admits, private = admitting(private=True), False

        def noted(address: Address) -> bool:
            nonlocal private
            private = private or not is_public(address)
            return admits(address)

        about = await document(described_at(self.url), noted, self._tls)
        self.url, where = _checked(about, self.url)
        self._keys = signing_keys(await document(where, admitting(private=private), self._tls))


def described_at(issuer: str) -> str:
    """The URL of an issuer's metadata. OpenID Connect Discovery 1.0, section 4, appends the path to the
    issuer's. RFC 8414, section 5, also allows this form; its own form inserts it before the issuer's path."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def _checked(about: dict[str, Any], issuer: str) -> tuple[str, str]:
    """The issuer's URL as its document writes it, and its keys' (OpenID Connect Discovery 1.0, section 4.3).

    A slash at the end may differ, because it is easily left out of a setting."""
    named = about.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        raise Unusable(
            "the issuer's document names another issuer; set WAYPOST_OIDC_ISSUER to the URL in that document"
        )
    where = about.get("jwks_uri")
    if not isinstance(where, str) or not is_secure(where):
        raise Unusable("the issuer's document names no https:// address for its keys (jwks_uri)")
    return named, where
