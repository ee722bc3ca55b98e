"""Short messages posted by HTTP (as by Apprise's json://), kept as .json files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from waypost.system.clock import now

LARGEST = 1_000_000  # bytes


def _with_number(body: bytes, number: str) -> bytes:
    try:
        return orjson.dumps({"to": number, **orjson.loads(body)}, option=orjson.OPT_INDENT_2)
    except (orjson.JSONDecodeError, TypeError):
        return body  # not an object: kept as it came


def make_app(folder: Path, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> Starlette:
    """`POST /text/{number}` keeps a message; `GET /health` says that the mailbox is up."""
    numbers = count(1)

    async def take(request: Request) -> Response:
        body = await request.body()
        if len(body) > LARGEST:
            return JSONResponse({"error": "too large"}, status_code=413)
        name = f"{now():%Y%m%dT%H%M%S%f}-{next(numbers):06}.json"
        part = folder / f".{name}.part"
        part.write_bytes(_with_number(body, request.path_params["number"]))
        part.rename(folder / name)
        return JSONResponse({"kept": name})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "up"})

    @asynccontextmanager
    async def while_up(_app: Starlette):
        async with lifespan():
            yield

    routes = [Route("/text/{number:path}", take, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, lifespan=while_up)
