"""Keeps other web sites away from a page on this machine."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Scripts and stylesheets are the page's own files. A mail has its styles in it, and inherits the policy where
# it is written into its frame.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; font-src data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def guard(host: str) -> list[Middleware]:
    """Only requests to `host` or a loopback name are answered: a page of another site could otherwise read
    codes under a name of its own that resolves to this machine (DNS rebinding). A request that names a page
    of another site as its origin (RFC 6454, section 7) is refused."""
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=[host, "127.0.0.1", "localhost"]),
        Middleware(_OwnOrigin),
    ]


class _OwnOrigin:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin != f"{scope['scheme']}://{headers.get('host')}":
                await PlainTextResponse("not from a page of another site", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
