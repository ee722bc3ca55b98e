"""Access tokens (JWT) of an OpenID Connect issuer, as an alternative to API keys."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError, SecurityWarning
from joserfc.jws import JWSRegistry

from waypost.config.settings import Settings
from waypost.gateway.auth import key_format
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.auth.issuer_keys import Issuer, IssuerAway
from waypost.gateway.problems import Problem
from waypost.model.client_name import is_client

LONGEST = 16 * 1024  # characters
LEEWAY_SECONDS = 30

# Only signatures by a private key: never `none`, never HMAC, whose secret would be a public key.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("Ed25519", "EdDSA"),
)
# RFC 9068, section 4, and plain JWT, which most issuers write; other types, such as logout+jwt, are refused.
_KINDS = ("jwt", "at+jwt", "application/at+jwt")
_NAMES = ("client_id", "azp", "sub")

# EdDSA has a newer name (RFC 9864); the gateway does not warn about the old name in others' tokens.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)


class _Registry(JWSRegistry):
    max_header_length = 4096  # bytes: some issuers put a certificate's thumbprints there


# Unregistered headers are allowed; headers that the issuer marks as critical must be understood.
_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


def accepted_tokens(settings: Settings) -> Tokens | None:
    """The check for tokens of the issuer that `settings` name; None if they name no issuer."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return Tokens(Issuer(settings.oidc_issuer), settings.oidc_audience, settings.oidc_rate)


class Tokens:
    """Checks tokens: called with the text of a token, returns its Caller or raises Problem.

    rate: requests a second that each client may make.
    """

    def __init__(self, issuer: Issuer, audience: str, rate: int | None = None) -> None:
        self.issuer = issuer
        self._audience = audience
        self._rate = rate

    async def __call__(self, text: str) -> Caller:
        if len(text) > LONGEST:
            raise _refused(f"the token is longer than {LONGEST:,} characters")
        claims = await self._signed(text)
        self._check(claims)
        return replace(caller(claims), rate=self._rate)

    async def _signed(self, text: str) -> dict[str, Any]:
        """The claims that the issuer signed. Raises Problem."""
        try:
            header = jws.extract_compact(text.encode(), registry=_REGISTRY).headers()
            key_id = header.get("kid")
            if header.get("alg") not in ALGORITHMS or not isinstance(key_id, str | None):
                raise _refused("the token's signature algorithm or key id is not accepted")
            if str(header.get("typ", "jwt")).lower() not in _KINDS:
                raise _refused("this token is not an access token")
            key = await self.issuer.key(key_id)
            if key is None:
                raise _refused("the token is not signed with a key of the trusted issuer")
            key.check_alg(header["alg"])
            return jwt.decode(text, key, registry=_REGISTRY).claims
        except IssuerAway as away:
            raise Problem(
                "unavailable",
                "tokens cannot be checked: their issuer does not respond. Retry later, or use an API key",
                headers={"retry-after": str(away.seconds)},
            ) from None
        except (JoseError, ValueError, TypeError, RecursionError):
            raise _refused("the token is not signed by the trusted issuer") from None

    def _check(self, claims: dict[str, Any]) -> None:
        """Raise Problem unless issuer, audience and times are valid (RFC 7519, section 4.1)."""
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer.url},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
        )
        try:
            rules.validate(claims)
        except ExpiredTokenError:
            raise _refused("the token has expired") from None
        except ClaimError as error:
            raise _refused(f"the token's {error.claim} is missing or not accepted") from None


def caller(claims: Mapping[str, Any]) -> Caller:
    """The caller that checked claims identify, with its scopes. Raises Problem.

    The client's name is the first of client_id (RFC 9068), azp and sub that is present, in lower case.
    """
    named = next((claims[name] for name in _NAMES if claims.get(name)), "")
    client = named.lower() if isinstance(named, str) and named.isascii() else ""
    if not is_client(client):
        raise Problem(
            "forbidden",
            "the token's client name (client_id, azp or sub) is invalid: a client has up "
            "to 41 letters a to z, digits and hyphens",
        )
    scopes = tuple(scope for scope in _scopes(claims) if key_format.is_scope(scope))
    if not scopes:
        raise Problem("forbidden", f"the token has none of the scopes {', '.join(key_format.SCOPES)}")
    return Caller(client, scopes, f"token of {client}")


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """From `scope`, separated by spaces (RFC 8693, section 4.2), or from `scp`; both may also be a list."""
    found = claims.get("scope") or claims.get("scp")
    if isinstance(found, str):
        return [one for one in found.split(" ") if one]
    listed = cast(list[object], found) if isinstance(found, list) else []
    return [one for one in listed if isinstance(one, str)]


def _refused(detail: str) -> Problem:
    return Problem(
        "unauthenticated",
        detail,
        headers={"www-authenticate": 'Bearer realm="waypost", error="invalid_token"'},
    )
