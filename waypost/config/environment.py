"""The environment of a process, made fit for every library in it that reads it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

OWNER_ALONE = 0o077
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Called first of all by a command; the processes it starts inherit it.

    Files are private to their owner wherever they lie. Requests to this machine go by no proxy. Prefect's
    address has one form.
    """
    os.umask(OWNER_ALONE)
    _exempt_loopback(environ)
    if api := environ.get("PREFECT_API_URL"):
        environ["PREFECT_API_URL"] = api.strip().rstrip("/")


def _exempt_loopback(environ: MutableMapping[str, str]) -> None:
    """In NO_PROXY, which httpx, websockets and requests read, and in small letters, which goes first."""
    named = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    exempt = [host for part in named.split(",") if (host := part.strip())]
    if "*" not in exempt:
        exempt += [host for host in LOOPBACK if host not in exempt]
    environ["NO_PROXY"] = environ["no_proxy"] = ",".join(exempt)


def proxy(url: str) -> tuple[str, str] | None:
    """The variable that names a proxy for requests to `url`, and the proxy's URL; None when they go
    directly."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies_environment()
    scheme = next((scheme for scheme in (parts.scheme, "all") if scheme in proxies), None)
    return (f"{scheme}_proxy".upper(), proxies[scheme]) if scheme else None


def by_proxy(url: str) -> str:
    """` by the proxy of HTTPS_PROXY`, to follow `url` in a message; empty when there is none."""
    found = proxy(url)
    return f" by the proxy of {found[0]}" if found else ""


def without_login(url: str) -> str:
    """`url` for messages: without the name and the password in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
