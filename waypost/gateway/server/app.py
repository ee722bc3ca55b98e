"""Builds the HTTP application: its routes, middleware and error handlers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from waypost.gateway import openapi, problems
from waypost.gateway.context import GatewayContext
from waypost.gateway.http.request_head import Head
from waypost.gateway.problems import KINDS, Problem
from waypost.gateway.routes import (
    health,
    notifications,
    preferences,
    recipients,
    suppressions,
    types,
    verifications,
    webhooks,
)
from waypost.gateway.server.allowed_methods import allowed
from waypost.gateway.server.fast_path import FastPath
from waypost.gateway.server.metrics_middleware import MetricsMiddleware
from waypost.gateway.webhooks.dispatcher import delivering

# Preferences before recipients, whose ids may hold slashes.
_PARTS = (notifications, types, preferences, recipients, suppressions, verifications, webhooks, health)


def gateway(context: GatewayContext, https: bool = False) -> FastAPI:
    """The application. https: the gateway serves TLS itself and tells browsers to require it (RFC 6797)."""

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncGenerator[None]:
        async with delivering(context.ledger, context.secret_key, context.private_webhooks):
            yield
            await context.intake.close()

    app = FastAPI(
        title="Waypost",
        version="1",
        description="Notifications: accepted durably, delivered as Prefect flows.",
        lifespan=life,
        docs_url=None,  # its page loads scripts from other hosts
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,  # a redirect would name whatever host the Host header contains
        generate_unique_id_function=openapi.operation_id,
    )
    routers = [part.router(context) for part in _PARTS]
    for router in routers:
        app.include_router(router)
    app.add_middleware(FastPath, routers=routers)
    app.add_middleware(MetricsMiddleware, https=https)
    app.add_middleware(Head)
    app.openapi = lambda: openapi.document(app, context.intake, context.categories)
    _answer_errors(app, routers)
    return app


def _answer_errors(app: FastAPI, routers: list[APIRouter]) -> None:
    """Answer every error with a problem; metrics_middleware.py answers unexpected errors."""

    async def problem(_request: Request, error: Exception) -> Response:
        return cast(Problem, error).response()

    async def invalid(_request: Request, error: Exception) -> Response:
        return problems.invalid(cast(RequestValidationError, error).errors(), skipped=1).response()

    async def http(request: Request, error: Exception) -> Response:
        raised = cast(HTTPException, error)
        if raised.status_code == 405:
            there = allowed(routers, request.scope)
            detail = f"this path supports {there}" if there else "this path supports GET"
            return Problem("method-not-allowed", detail, headers={"allow": there or "GET, HEAD"}).response()
        if raised.status_code == 404:
            there = "no such route, or a malformed id; see /v1/openapi.json"
            return Problem("not-found", there).response()
        kind = next((one for one in KINDS.values() if one.status == raised.status_code), KINDS["not-found"])
        return Problem(kind.code, f"{kind.title}.", headers=raised.headers).response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
