"""Reads the Prefect API without Prefect, whose import takes a second of a short command's processor time."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from ssl import SSLError, create_default_context
from typing import Any, cast
from urllib.parse import quote, urlsplit

import orjson

from waypost.config.environment import proxy
from waypost.deployments.paused_lanes import Pausable, Stopped, stopped

# Settings of how Prefect's client connects.
_SPECIAL = ("PREFECT_API_TLS_", "PREFECT_API_SSL_", "PREFECT_CLIENT_CUSTOM_HEADERS")
_LOGIN_WANTED = (401, 403)  # a profile of Prefect may have it


class NeedsPrefect(RuntimeError):
    """Only Prefect's own client knows how to reach the API: its address or login is in a file of Prefect's,
    or it is behind a proxy or has a certificate of the team's own."""


def stopped_lanes(work_pool: str, seconds: float) -> Stopped:
    """The lanes that are stopped; none if the API does not answer, or has no such pool. seconds: the limit of
    each step of a request. Raises NeedsPrefect."""
    pool = f"/work_pools/{quote(work_pool, safe='')}"
    try:
        with _Api(os.environ, seconds) as api:
            found, queues = api.ask("GET", pool), api.ask("POST", f"{pool}/queues/filter", {})
    except SSLError:
        raise NeedsPrefect from None
    except (OSError, HTTPException, ValueError):
        return {}
    if not isinstance(found, dict) or not isinstance(queues, list):
        return {}
    known = cast(list[dict[str, Any]], queues)
    return stopped(Pausable.of(cast(dict[str, Any], found)), [Pausable.of(one) for one in known])


class _Api:
    """A connection to the API that the environment names."""

    def __init__(self, environ: Mapping[str, str], seconds: float) -> None:
        url = environ.get("PREFECT_API_URL", "")
        parts = urlsplit(url)
        special = any(name.startswith(_SPECIAL) for name in environ)
        if not url and not _named_in_a_file(environ):
            raise ConnectionError("no setting names a Prefect API")
        if not parts.hostname or parts.username or special or proxy(url):
            raise NeedsPrefect
        if parts.scheme == "https":
            self._connection = HTTPSConnection(
                parts.hostname, parts.port, timeout=seconds, context=create_default_context()
            )
        else:
            self._connection = HTTPConnection(parts.hostname, parts.port, timeout=seconds)
        self._path = parts.path
        self._headers = {"content-type": "application/json", **_login(environ)}

    def __enter__(self) -> _Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON; None for an error."""
        sent = None if body is None else orjson.dumps(body)
        self._connection.request(method, self._path + path, sent, self._headers)
        response = self._connection.getresponse()
        read = response.read()
        if response.status in _LOGIN_WANTED:
            raise NeedsPrefect
        return orjson.loads(read) if response.status == 200 else None


def _named_in_a_file(environ: Mapping[str, str]) -> bool:
    """Whether a file that Prefect reads may name the API."""
    home = Path(environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    profiles = Path(environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()
    return any(
        _mentions(file, word)
        for file, word in (
            (profiles, b"PREFECT_API_URL"),
            (Path(".env"), b"PREFECT_API_URL"),
            (Path("prefect.toml"), b"url"),
            (Path("pyproject.toml"), b"tool.prefect"),
        )
    )


def _mentions(file: Path, word: bytes) -> bool:
    try:
        return file.is_file() and word in file.read_bytes()
    except OSError:
        return False


def _login(environ: Mapping[str, str]) -> dict[str, str]:
    """As Prefect's client logs in."""
    if pair := environ.get("PREFECT_API_AUTH_STRING"):
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if key := environ.get("PREFECT_API_KEY"):
        return {"authorization": f"Bearer {key}"}
    return {}
