"""Restricts the embedded Prefect server to web pages of its own origins.

CORS alone does not protect it: the browser hides the response from a page of another origin, but the server
has already executed the request. If a page makes its own name resolve to 127.0.0.1 (DNS rebinding), the
browser sees the same origin; the Host header reveals the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ANY = "*"


def guarded(app: ASGIApp, host: str, origins: Sequence[str]) -> ASGIApp:
    """`app`, restricted to requests for `host`, localhost and the hosts of `origins`, and from pages of
    `origins`. `*` among the origins allows every request."""
    if ANY in origins:
        return app
    hosts = {host, "localhost", *(name for origin in origins if (name := urlsplit(origin).hostname))}
    return TrustedHostMiddleware(OwnOrigins(app, origins), sorted(hosts))


class OwnOrigins:
    """Answers 403 to a browser's requests for a page of another origin (RFC 6454, section 7). Programs send
    no Origin header."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or Headers(scope=scope).get("origin") in (None, *self._origins):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "another origin"})
        else:
            refused = PlainTextResponse("This origin may not use this Prefect server", status_code=403)
            await refused(scope, receive, send)
