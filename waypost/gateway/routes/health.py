"""Routes for liveness, readiness, metrics and the meaning of error codes."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from waypost.gateway import openapi
from waypost.gateway.http import responses
from waypost.gateway.problems import KINDS, Problem
from waypost.gateway.readiness import Readiness
from waypost.telemetry import metrics

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext


def router(context: GatewayContext) -> APIRouter:
    """The routes for monitoring, and for the meaning of error codes."""
    routes = APIRouter(tags=["health"])
    readiness = Readiness(context.ledger, context.prefect, context.secret_key)

    @routes.get("/healthz", **openapi.HEALTH)
    async def _alive() -> Response:
        """Whether the gateway runs."""
        return responses.json({"status": "ok"})

    @routes.get("/readyz", **openapi.READY)
    async def _ready() -> Response:
        """Whether the ledger accepts writes and Prefect responds; if not, `detail` says what is wrong."""
        ledger, prefect = await asyncio.gather(readiness.ledger(), readiness.prefect())
        found: dict[str, object] = {"ledger": not ledger, "prefect": not prefect}
        if wrong := [one for one in (ledger, prefect) if one]:
            return responses.json({"status": "not ready", **found, "detail": "; ".join(wrong)}, 503)
        return responses.json({"status": "ok", **found})

    @routes.get("/metrics", **openapi.METRICS)
    async def _metrics(request: Request) -> Response:
        """Metrics in Prometheus' text format, for keys that may read."""
        (await context.caller(request)).require_any("read")
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/problems/{code}", **openapi.PROBLEM)
    async def _explain(code: str) -> Response:
        """The meaning of an error code."""
        if code not in KINDS:
            raise Problem("not-found", f"unknown code; the codes are {', '.join(KINDS)}")
        kind = KINDS[code]
        return responses.json(asdict(kind))

    return routes
