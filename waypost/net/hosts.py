"""Which URLs and hosts can be trusted to be authentic."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_secure(url: str) -> bool:
    """Whether no third party can answer in place of the host: https, or http on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def is_issuer(url: str) -> bool:
    """Whether `url` can name an issuer (OpenID Connect Discovery 1.0, section 2): no query or fragment."""
    if not is_secure(url) or not url.isprintable() or " " in url:
        return False
    parts = urlsplit(url)
    return not (parts.query or parts.fragment or parts.username or parts.password)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, by name or number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
