"""Prepares the environment of a process for all libraries that read it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

OWNER_ALONE = 0o077
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Called first by a command; the processes it starts inherit the result.

    New files are private to their owner, in every folder. Requests to this machine use no proxy.
    PREFECT_API_URL is normalised.
    """
    os.umask(OWNER_ALONE)
    _exempt_loopback(environ)
    if api := environ.get("PREFECT_API_URL"):
        environ["PREFECT_API_URL"] = api.strip().rstrip("/")


def _exempt_loopback(environ: MutableMapping[str, str]) -> None:
    """Set NO_PROXY, which httpx, websockets and requests read, and no_proxy, which takes precedence."""
    named = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    exempt = [host for part in named.split(",") if (host := part.strip())]
    if "*" not in exempt:
        exempt += [host for host in LOOPBACK if host not in exempt]
    environ["NO_PROXY"] = environ["no_proxy"] = ",".join(exempt)


def proxy(url: str) -> tuple[str, str] | None:
    """The variable that names a proxy for requests to `url`, and the proxy's URL; None if they use no
    proxy."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies_environment()
    scheme = next((scheme for scheme in (parts.scheme, "all") if scheme in proxies), None)
    return (f"{scheme}_proxy".upper(), proxies[scheme]) if scheme else None


def by_proxy(url: str) -> str:
    """` by the proxy of HTTPS_PROXY`, to follow `url` in a message; empty without a proxy."""
    found = proxy(url)
    return f" by the proxy of {found[0]}" if found else ""


def without_login(url: str) -> str:
    """`url` for messages: without its user name and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
