"""The HTTP gateway put together: one function a route, each in a file named for what it is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from waypost.gateway import (
    body,
    health,
    notifications,
    openapi,
    problems,
    recipients,
    types,
    verifications,
    webhooks,
)
from waypost.gateway.callers import LOOKED_AGAIN_SECONDS, Caller, Callers
from waypost.gateway.counting import Counted
from waypost.gateway.head import Head
from waypost.gateway.intake import Declared, Intake
from waypost.gateway.methods import allowed
from waypost.gateway.problems import KINDS, Problem
from waypost.gateway.room import Room
from waypost.gateway.straight import Straight
from waypost.gateway.webhook_delivery import delivering
from waypost.ledger import Ledger
from waypost.notification_type import Category

_PARTS = (notifications, types, recipients, verifications, webhooks, health)


@dataclass(frozen=True, slots=True)
class Door:
    """What every route needs. prefect: says whether Prefect answers. private_webhooks: whether a webhook may
    lead to this machine or a private network. room: for the bodies of requests under way."""

    ledger: Ledger
    types: Mapping[str, Declared]
    secret_key: bytes = field(repr=False)
    callers: Callers
    intake: Intake
    prefect: Callable[[], Awaitable[bool]]
    private_webhooks: bool = False
    room: Room = field(default_factory=Room)

    async def caller(self, request: Request) -> Caller:
        """Whose request it is. Raises Problem."""
        return await self.callers.of(request.headers.get("authorization", ""))

    @asynccontextmanager
    async def body(self, request: Request, caller: Caller, most: int = body.ONE) -> AsyncGenerator[bytes]:
        """The body, of `most` bytes at most, and room in memory for it until its request is answered. Where
        that took long, the caller's key is looked at again: it may have been revoked meanwhile. Raises
        Problem."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self.room.of(caller.client, body.announced(request, most)) as held:
            found = await body.read(request, most)
            if clock() - began > LOOKED_AGAIN_SECONDS:
                await self.callers.check(request.headers["authorization"])
            held.shrink(len(found))
            yield found


def gateway(
    ledger: Ledger,
    declared: Mapping[str, Declared],
    secret_key: bytes,
    prefect: Callable[[], Awaitable[bool]],
    tokens: Callable[[str], Awaitable[Caller]] | None = None,
    https: bool = False,
    private_webhooks: bool = False,
) -> FastAPI:
    """The application. `declared`: the types; digests are composed by Waypost, and cannot be asked for.
    tokens: who a bearer token that is no API key speaks for. https: it serves TLS itself, and browsers are
    to remember it (RFC 6797). private_webhooks: webhooks may lead to this machine and to private networks."""
    offered = {name: one for name, one in declared.items() if one.type.category is not Category.DIGEST}
    callers, intake = Callers(ledger, tokens), Intake(ledger, offered)
    door = Door(ledger, offered, secret_key, callers, intake, prefect, private_webhooks)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncGenerator[None]:
        async with delivering(ledger, secret_key, private_webhooks):
            yield
            await intake.close()

    app = FastAPI(
        title="Waypost",
        version="1",
        description="Notifications: accepted durably, delivered as Prefect flows.",
        lifespan=life,
        docs_url=None,  # its page takes its scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,  # a path means itself; a redirect would name whatever the Host header says
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.door = door
    routers = [part.router(door) for part in _PARTS]
    for router in routers:
        app.include_router(router)
    app.add_middleware(Straight, routers=routers)
    app.add_middleware(Counted, https=https)
    app.add_middleware(Head)
    app.openapi = lambda: openapi.document(app, door.intake)
    _answer_errors(app, routers)
    return app


def _answer_errors(app: FastAPI, routers: list[APIRouter]) -> None:
    """Every error is a problem; what nobody foresaw is counting.py's."""

    async def problem(_request: Request, error: Exception) -> Response:
        return cast(Problem, error).response()

    async def invalid(_request: Request, error: Exception) -> Response:
        return problems.invalid(cast(RequestValidationError, error).errors(), skipped=1).response()

    async def http(request: Request, error: Exception) -> Response:
        raised = cast(HTTPException, error)
        if raised.status_code == 405:
            there = allowed(routers, request.scope)
            detail = f"this path has {there}" if there else "this path is read with GET"
            return Problem("method-not-allowed", detail, headers={"allow": there or "GET, HEAD"}).response()
        if raised.status_code == 404:
            there = "there is no such route, or no such id can be; /v1/openapi.json names what there is"
            return Problem("not-found", there).response()
        kind = next((one for one in KINDS.values() if one.status == raised.status_code), KINDS["not-found"])
        return Problem(kind.code, f"{kind.title}.", headers=raised.headers).response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
