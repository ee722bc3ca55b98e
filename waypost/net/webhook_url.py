"""Parses `webhook+https://host/path`, and decides which addresses a webhook may lead to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from waypost.net.allowed_networks import Address, Admits, admitting, is_forbidden, is_public

_URL = re.compile(r"[!-~]+\Z")  # RFC 3986: ASCII only, no blanks
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?\Z")
# Resolvers read such a host as an IPv4 address in an unusual notation.
_NUMBER = re.compile(r"(?:\A|\.)(?:[0-9]+|0x[0-9a-f]*)\.?\Z")


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a webhook goes. target: path and query, often as secret as a password."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"https": 443, "http": 80}


def parse(url: str, prefix: str = "webhook+") -> Hook:
    """Parse `webhook+https://host/path`, or `webhook+http://` on loopback. prefix: the text before https, ""
    for a plain URL. Raises ValueError, which never repeats the URL: its path is often its only
    protection."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"not a URL such as {prefix}https://host/path (a port is up to 65535)") from None
    scheme = parts.scheme.removeprefix(prefix)
    if scheme not in _PORTS or prefix + scheme != parts.scheme:
        raise ValueError(f"a webhook's URL must begin with {prefix}https://")
    host = parts.hostname or ""
    if not _URL.match(url) or not (literal(host) or _NAME.match(host)):
        raise ValueError(
            "a webhook's URL must name a host, all in ASCII: write the host as xn--..., "
            "and percent-encode the path"
        )
    if (
        port == 0
        or ("[" in parts.netloc and literal(host) is None)
        or (literal(host) is None and _NUMBER.search(host))
    ):
        raise ValueError(
            "a webhook's URL must name a host, or an address such as 192.0.2.7, and a port other than 0"
        )
    if "@" in parts.netloc or parts.fragment:
        raise ValueError(
            "a webhook's URL must not have a user, password or fragment: its messages are signed instead"
        )
    if scheme == "http" and not _may_be_loopback(host):
        raise ValueError(f"{prefix}http:// is only for this machine; use {prefix}https://")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Hook(scheme, host, port or _PORTS[scheme], target)


def _may_be_loopback(host: str) -> bool:
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def literal(host: str) -> Address | None:
    """`host` as an address, or None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def admits(hook: Hook, allow_private: bool) -> Admits:
    """Which addresses `hook`'s host may resolve to. Raises ValueError if the host itself is not allowed."""
    allowed = admitting(private=allow_private)
    if hook.scheme == "http":
        allowed: Admits = lambda address: allow_private and address.is_loopback  # noqa: E731
    address = literal(hook.host)
    named = hook.host.rstrip(".") == "localhost" if address is None else not is_public(address)
    if named and not allow_private:
        raise ValueError(PRIVATE)
    if address is not None and is_forbidden(address):
        raise ValueError(FORBIDDEN)
    return allowed


FORBIDDEN = "it leads to a link-local, metadata or multicast address, which is never allowed"
NOT_ALLOWED = ", and allow_private is not set"
PRIVATE = f"it leads to a private network or this machine{NOT_ALLOWED}"
