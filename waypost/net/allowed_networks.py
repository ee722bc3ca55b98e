"""The addresses that a URL from outside may lead to: one policy for all code that fetches or posts. Pure.

The lists are Waypost's own, in addition to the `ipaddress` library, whose results differ between patch
releases of Python. They follow the IANA special-purpose registries of 2025 (RFC 6890), even where a registry
says that an address is globally reachable: no receiver of messages has such an address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Admits = Callable[[Address], bool]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is in its last 32 bits
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215: a network chooses a prefix inside it


def _networks(texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts.split())


_SPECIAL = _networks(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
    " 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15"
    " 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
    " 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20"
)
# Metadata services of clouds, which return credentials. The first two are all of link-local, which most
# clouds use; the third is Oracle's, the fourth Alibaba's, the last two Amazon's and Google's.
_METADATA = _networks(
    "169.254.0.0/16 fe80::/10 192.0.0.192/32 100.100.100.200/32 168.63.129.16/32"
    " fd00:ec2::254/128 fd20:ce::254/128"
)
_NO_HOST = _networks("0.0.0.0/8 224.0.0.0/4 255.255.255.255/32 ::/128 ff00::/8")  # of no host, or of many


def is_public(address: Address) -> bool:
    """Whether `address` is on the public internet: not private, link-local, loopback, multicast or
    reserved. An IPv4 address inside an IPv6 address is judged as the IPv4 address."""
    address = _unwrapped(address)
    if _among(address, _SPECIAL) or _among(address, _METADATA) or address.is_multicast:
        return False
    return address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)


def is_forbidden(address: Address) -> bool:
    """Whether requests to `address` are never allowed, even if private networks are: a cloud's metadata
    service, a link-local address, or an address that is not of exactly one host."""
    meant = (_unwrapped(address), *_translated(address))
    return any(_among(one, _METADATA) or _among(one, _NO_HOST) for one in meant)


def admitting(*, private: bool) -> Admits:
    """The policy. private: whether private networks and this machine are admitted too."""
    return lambda address: is_public(address) or (private and not is_forbidden(address))


def _among(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _translated(address: Address) -> list[Address]:
    """The IPv4 addresses that a private network may translate `address` to: by 6to4 (RFC 3056), or by a NAT64
    of its own, whose prefix has 48, 56, 64 or 96 bits (RFC 6052, section 2.2)."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address not in _LOCAL_NAT64:
        return []
    octets = address.packed
    texts = (octets[6:8] + octets[9:11], octets[7:8] + octets[9:12], octets[9:13], octets[12:16])
    return [ipaddress.IPv4Address(text) for text in texts]


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside `address` (RFC 4291, section 2.5.5.2; RFC 6052), else `address` itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
