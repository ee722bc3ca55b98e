"""The mailbox's HTTP application: takes short messages, and shows what arrived."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from waypost.mailbox.pages import Pages
from waypost.mailbox.texts import TextHandler


def make_app(folder: Path, host: str, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> Starlette:
    """`POST /text/{number}` keeps a message; `GET /` shows all; `GET /health` says that the mailbox is up.

    Only requests to `host` or a loopback name are answered: a page of another site could otherwise read codes
    under a name of its own that resolves to this machine (DNS rebinding).
    """

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "up"})

    @asynccontextmanager
    async def while_up(_app: Starlette):
        async with lifespan():
            yield

    take = Route("/text/{number:path}", TextHandler(folder).take, methods=["POST"])
    return Starlette(
        routes=[take, Route("/health", health), *Pages(folder).routes],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[host, "127.0.0.1", "localhost"])],
        lifespan=while_up,
    )
