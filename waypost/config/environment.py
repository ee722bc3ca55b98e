"""Prepares the environment of a process for all libraries that read it."""

from __future__ import annotations

import os
import stat
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from dotenv import dotenv_values

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


def read_file(folder: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Add the settings in the folder's `.env` that the environment does not have: WAYPOST_* and PREFECT_*, in
    capital or small letters. Values are taken literally; relative paths are relative to `folder`. Raises
    ValueError for a file that cannot be read."""
    file = folder / ".env"
    if not file.is_file():  # a pipe would wait for its writer
        return
    _check_whose(file)
    try:
        found = dotenv_values(file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.absolute()} cannot be read ({error}): correct it, or remove it") from None
    for name, value in found.items():
        setting = name.upper()  # as in the environment, where Waypost and Prefect ignore case
        if setting.startswith(("WAYPOST_", "PREFECT_")) and value is not None:
            environ.setdefault(setting, _placed(setting, value, folder.absolute()))


_PATHS = ("WAYPOST_HOME", "PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_API_SSL_CERT_FILE")
_SQLITE = "sqlite:///"


def _placed(name: str, value: str, folder: Path) -> str:
    """The value with a relative path made absolute: commands run in any folder."""
    if name in _PATHS and value and not value.startswith("~"):
        return str(folder / value)
    if name == "WAYPOST_DATABASE_URL" and value.startswith(_SQLITE):
        path = value.removeprefix(_SQLITE)
        return value if path.startswith(("file:", ":")) else f"{_SQLITE}{folder / path}"
    if name == "WAYPOST_DKIM_KEY":
        return ",".join(_key_file(part, folder) for part in value.split(","))
    return value


def _key_file(part: str, folder: Path) -> str:
    """A key is given as a file or as its text."""
    with suppress(OSError, ValueError):
        if (folder / part.strip()).is_file():
            return str(folder / part.strip())
    return part


def _check_whose(file: Path) -> None:
    """Settings decide where mail goes and what code runs. Raises ValueError for a file that others may write,
    or that somebody else put into a folder that all may write, such as /tmp."""
    found, folder = file.stat(), file.parent.stat()
    somebody_elses = folder.st_mode & stat.S_IWOTH and found.st_uid not in (os.geteuid(), 0)
    if found.st_mode & stat.S_IWOTH or somebody_elses:
        raise ValueError(f"{file.absolute()} is not read: others can write it; correct its permissions")


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
    return f" through the proxy of {found[0]}" if found else ""


def without_login(url: str) -> str:
    """`url` for messages: without its user name and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an unreadable address"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
