"""The HTTP gateway put together: one function a route, each in a file named for what it is about."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from waypost.gateway import health, notifications, openapi, problems, recipients, types, verifications
from waypost.gateway.callers import Caller, Callers
from waypost.gateway.counting import Counted
from waypost.gateway.intake import Declared, Intake
from waypost.gateway.problems import KINDS, Problem
from waypost.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Door:
    """What every route needs. prefect: says whether Prefect answers."""

    ledger: Ledger
    types: Mapping[str, Declared]
    secret_key: bytes = field(repr=False)
    callers: Callers
    intake: Intake
    prefect: Callable[[], Awaitable[bool]]

    async def caller(self, request: Request) -> Caller:
        """Whose request it is. Raises Problem."""
        return await self.callers.of(request.headers.get("authorization", ""))


def gateway(
    ledger: Ledger,
    declared: Mapping[str, Declared],
    secret_key: bytes,
    prefect: Callable[[], Awaitable[bool]],
    tokens: Callable[[str], Awaitable[Caller]] | None = None,
    https: bool = False,
) -> FastAPI:
    """The application. `declared`: the types that can be sent. tokens: who a bearer token that is no API
    key speaks for. https: it serves TLS itself, and browsers are to remember it (RFC 6797)."""
    door = Door(ledger, declared, secret_key, Callers(ledger, tokens), Intake(ledger, declared), prefect)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncGenerator[None]:
        yield
        await door.intake.close()

    app = FastAPI(
        title="Waypost",
        version="1",
        description="Notifications: accepted durably, delivered as Prefect flows.",
        lifespan=life,
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.door = door
    for part in (notifications, types, recipients, verifications, health):
        app.include_router(part.router(door))
    app.add_middleware(Counted, https=https)
    app.openapi = lambda: openapi.document(app, door.intake)
    _answer_errors(app)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Every error is a problem; what nobody foresaw is counting.py's."""

    async def problem(_request: Request, error: Exception) -> Response:
        return cast(Problem, error).response()

    async def invalid(_request: Request, error: Exception) -> Response:
        return problems.invalid(cast(RequestValidationError, error).errors(), skipped=1).response()

    async def http(_request: Request, error: Exception) -> Response:
        raised = cast(HTTPException, error)
        kind = next((one for one in KINDS.values() if one.status == raised.status_code), KINDS["not-found"])
        return Problem(kind.code, f"{kind.title}.", headers=raised.headers).response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
