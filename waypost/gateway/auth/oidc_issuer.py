"""The keys that an OpenID Connect issuer signs its tokens with, fetched and kept."""

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
STALE_SECONDS = 86_400.0  # an issuer that is away for longer may have withdrawn a key that was stolen
AGAIN_SECONDS = 30.0  # tokens that name keys which nobody has do not make us ask more often
AWAY_SECONDS = 5.0  # after which an issuer that did not answer is asked again
ANSWERS_WITHIN = 5.0
PATIENCE_SECONDS = 1.0  # how long a request waits for newer keys where there are some

logger = logging.getLogger("waypost.gateway")


class IssuerAway(RuntimeError):
    """It does not answer, and no key of its is known. seconds: after which it is asked again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the issuer of tokens does not answer as it should")
        self.seconds = max(1, math.ceil(seconds))


class Issuer:
    """url: the issuer's. clock: seconds of a steady clock.

    Keys are fetched when first asked for, an hour later, and when a token names one that is not known yet;
    one fetch serves all who wait. While the issuer is away those known are used, for a day at most.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url  # as its own document writes it, once that is known: tokens name it so
        self._clock = clock
        self._keys: list[SigningKey] = []
        self._fetched_at = -math.inf
        self._next_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._tls = httpx.create_ssl_context()
        self.trouble = ""  # what was wrong at the last fetch; empty when nothing was

    async def key(self, id: str | None) -> SigningKey | None:
        """The key of that id, which may be left out where there is one alone; None when the issuer has none
        such. Raises IssuerAway."""
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
        """Fetch the keys, unless they were just now. Who waits for a fetch does not end it for others."""
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
            self.trouble = str(error) if told else f"it {no_answer(error, ANSWERS_WITHIN)}"
            where = f"{self.url}{by_proxy(self.url)}"
            logger.warning("no keys of the issuer of tokens, %s: %s", where, self.trouble)
        finally:
            self._fetching = None

    async def _fetch_keys(self) -> None:
        """The settings name the issuer, so it may be on a private network. Where its document says its keys
        are may be on one only if the issuer is."""
        admits, private = admitting(private=True), False

        def noted(address: Address) -> bool:
            nonlocal private
            private = private or not is_public(address)
            return admits(address)

        about = await document(described_at(self.url), noted, self._tls)
        self.url, where = _checked(about, self.url)
        self._keys = signing_keys(await document(where, admitting(private=private), self._tls))


def described_at(issuer: str) -> str:
    """Where the document about an issuer is: OpenID Connect Discovery 1.0, section 4, appends the path to the
    issuer's. RFC 8414, section 5, names this form beside its own, which puts it before the issuer's path."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def _checked(about: dict[str, Any], issuer: str) -> tuple[str, str]:
    """The issuer as it writes itself, and where its keys are (OpenID Connect Discovery 1.0, section 4.3).

    A slash at the end, which is easily left out of a setting, is its own affair."""
    named = about.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        raise Unusable("its document is of another issuer: WAYPOST_OIDC_ISSUER is not as it writes itself")
    where = about.get("jwks_uri")
    if not isinstance(where, str) or not is_secure(where):
        raise Unusable("its document names no https:// address of its keys (jwks_uri)")
    return named, where
