"""Whether it is alive, whether it can work, and its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from waypost.gateway import answers, counting, openapi
from waypost.gateway.problems import KINDS, Problem

if TYPE_CHECKING:
    from waypost.gateway.app import Door


def router(door: Door) -> APIRouter:
    """The routes for whoever watches over it."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", **openapi.HEALTH)
    async def _alive() -> Response:
        """It runs and answers."""
        return answers.json({"status": "ok"})

    @routes.get("/readyz", **openapi.READY)
    async def _ready() -> Response:
        """The ledger can be written and Prefect answers."""
        found = {"ledger": await _writable(door), "prefect": await door.prefect()}
        status = 200 if all(found.values()) else 503
        return answers.json({"status": "ok" if status == 200 else "not ready", **found}, status)

    @routes.get("/metrics", **openapi.METRICS)
    async def _metrics(request: Request) -> Response:
        """Counts in Prometheus' text format, for keys that may read."""
        (await door.caller(request)).must_some("read")
        return Response(generate_latest(counting.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/problems/{code}", **openapi.PROBLEM)
    async def _explain(code: str) -> Response:
        """What an error's code means."""
        if code not in KINDS:
            raise Problem("not-found", f"there is no such code; there are {', '.join(KINDS)}")
        kind = KINDS[code]
        return answers.json({"code": kind.code, "status": kind.status, "title": kind.title})

    return routes


async def _writable(door: Door) -> bool:
    """Whether a transaction that writes can be begun and ended; it changes nothing."""
    nothing = sa.text("UPDATE api_keys SET client = client WHERE id = ''")
    try:
        await door.ledger.write(lambda connection: connection.execute(nothing))
    except Exception:  # whatever is wrong with it, it cannot be written
        return False
    return True
