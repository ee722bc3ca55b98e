"""`webhook+https://host/path` taken apart, and which addresses a webhook may lead to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Admits = Callable[[Address], bool]

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is in its last 32 bits
_URL = re.compile(r"[!-~]+\Z")  # RFC 3986 has ASCII alone, and no blanks
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?\Z")
# Resolvers take such a host for an IPv4 address, written in a way of its own.
_NUMBER = re.compile(r"(?:\A|\.)(?:[0-9]+|0x[0-9a-f]*)\.?\Z")
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a webhook goes. target: path and query, often as good as a password."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def confidences(self) -> list[str]:
        """The parts of the target that an answer may repeat and nobody else is to read."""
        parts = [part for piece in self.target.split("/") for part in piece.replace("?", "&").split("&")]
        values = [value for part in parts for value in (part, part.partition("=")[2])]
        both = dict.fromkeys([*values, *map(unquote, values)])
        return sorted((value for value in both if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)


_PORTS = {"https": 443, "http": 80}


def parse(url: str, prefix: str = "webhook+") -> Hook:
    """The place `webhook+https://host/path` names; `webhook+http://` only on loopback. prefix: what comes
    before https, "" for a plain URL. Raises ValueError, never repeating the URL: its path is often all that
    protects it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"not a URL such as {prefix}https://host/path (a port is up to 65535)") from None
    scheme = parts.scheme.removeprefix(prefix)
    if scheme not in _PORTS or prefix + scheme != parts.scheme:
        raise ValueError(f"a webhook's URL begins with {prefix}https://")
    host = parts.hostname or ""
    if not _URL.match(url) or not (literal(host) or _NAME.match(host)):
        raise ValueError(
            "a webhook's URL names a host and is written in ASCII: a host as xn--..., a path percent-encoded"
        )
    if (
        port == 0
        or ("[" in parts.netloc and literal(host) is None)
        or (literal(host) is None and _NUMBER.search(host))
    ):
        raise ValueError("a webhook's URL names a host, or an address such as 192.0.2.7, and no port 0")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("a webhook's URL has no user, password or fragment: its messages are signed instead")
    if scheme == "http" and not _may_be_loopback(host):
        raise ValueError(f"{prefix}http:// is for this machine alone; elsewhere it is {prefix}https://")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Hook(scheme, host, port or _PORTS[scheme], target)


def _may_be_loopback(host: str) -> bool:
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def literal(host: str) -> Address | None:
    """The address that `host` is, or None when it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether `address` is one of the internet's: of no private network, link, machine or group, however
    it is wrapped up."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST and address.is_global and not (address.sixtofour or address.teredo)


def admits(hook: Hook, allow_private: bool) -> Admits:
    """Which addresses `hook`'s host may turn out to have. Raises ValueError when it is one of the others."""
    if hook.scheme == "http":
        allowed: Admits = lambda address: allow_private and address.is_loopback  # noqa: E731
    else:
        allowed = lambda address: allow_private or is_public(address)  # noqa: E731
    address = literal(hook.host)
    named = hook.host.rstrip(".") == "localhost" if address is None else not is_public(address)
    if named and not allow_private:
        raise ValueError(PRIVATE)
    return allowed


PRIVATE = "it leads to a private network or this machine, and allow_private is not set"
