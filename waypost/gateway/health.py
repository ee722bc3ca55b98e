"""Whether it is alive, whether it can work, and its counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy as sa
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from waypost.gateway import answers, counting, openapi
from waypost.gateway.problems import KINDS, Problem
from waypost.ledger import Ledger

if TYPE_CHECKING:
    from waypost.gateway.app import Door

READY_SECONDS = 2.0  # who asks is told by then


def router(door: Door) -> APIRouter:
    """The routes for whoever watches over it."""
    routes = APIRouter(tags=["health"])
    writable = _Writable(door.ledger)

    @routes.get("/healthz", **openapi.HEALTH)
    async def _alive() -> Response:
        """It runs and answers."""
        return answers.json({"status": "ok"})

    @routes.get("/readyz", **openapi.READY)
    async def _ready() -> Response:
        """The ledger can be written and Prefect answers."""
        ledger, prefect = await asyncio.gather(writable(), door.prefect())
        found = {"ledger": ledger, "prefect": prefect}
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


class _Writable:
    """Whether a transaction that writes can be begun and ended, soon; it changes nothing. Of one that waits
    for the ledger there is never a second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._trying: asyncio.Task[bool] | None = None

    async def __call__(self) -> bool:
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try())
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await asyncio.shield(self._trying)
        except TimeoutError:
            return False

    async def _try(self) -> bool:
        try:
            await self._ledger.write(_change_nothing)
        except Exception:  # whatever is wrong with it, it cannot be written
            return False
        return True


def _change_nothing(connection: sa.Connection) -> None:
    """What a post needs: to read its key, and to write its row."""
    for statement in (
        "UPDATE api_keys SET id = id WHERE 1 = 0",
        "UPDATE notifications SET id = id WHERE 1 = 0",
    ):
        connection.execute(sa.text(statement))
