"""The mailbox's HTTP application: takes short messages, and shows what arrived."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from waypost.local_page.guard import guard
from waypost.mailbox.pages import Pages
from waypost.mailbox.texts import TextHandler


def make_app(folder: Path, host: str, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> Starlette:
    """`POST /text/{number}` keeps a message; `GET /` shows all; `GET /health` says that the mailbox is up."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "up"})

    @asynccontextmanager
    async def while_up(_app: Starlette):
        async with lifespan():
            yield

    take = Route("/text/{number:path}", TextHandler(folder).take, methods=["POST"])
    return Starlette(
        routes=[take, Route("/health", health), *Pages(folder).routes],
        middleware=guard(host),
        lifespan=while_up,
    )
