"""The HTTP that both clients share: options, requests and responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from waypost.client.requests import Call
from waypost.client.retry_policy import Answer, Lost
from waypost.net.hosts import is_loopback

_KEY = re.compile(r"[!-~]+")
# Errors raised before any part of the request was sent.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def options(url: str, key: str) -> dict[str, Any]:
    """Options for either of httpx's clients. Raises ValueError, which never repeats the key."""
    text = key.strip()
    if not _KEY.fullmatch(text):
        raise ValueError("an API key is one word in ASCII: wp_<id>_<secret>")
    if not url.startswith(("https://", "http://")):
        raise ValueError("the gateway's URL must begin with https://, or with http:// on this machine")
    headers = {"authorization": f"Bearer {text}", "user-agent": "waypost-client/1"}
    return {"base_url": url, "headers": headers, "follow_redirects": False, "mounts": _direct(url)}


def _direct(url: str) -> dict[str, None]:
    """Use no proxy of the environment for this machine."""
    host = urlsplit(url).hostname or ""
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None} if is_loopback(host) else {}


def request(call: Call[Any], timeout: float) -> Mapping[str, Any]:
    """The arguments for httpx's `request`."""
    headers = {} if call.content is None else {"content-type": "application/json"}
    return {
        "method": call.method,
        "url": call.path,
        "content": call.content,
        "params": call.query or None,
        "headers": headers,
        "timeout": timeout,
    }


def answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.content, response.headers.get("retry-after", ""))


def lost(error: httpx.RequestError) -> Lost:
    return Lost(sent=not isinstance(error, _NOT_SENT), kind=type(error).__name__)
