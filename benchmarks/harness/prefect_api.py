"""A plain HTTP client of the Prefect API, which counts retried 503 responses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
SETTLES_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """A flow run as Prefect recorded it, in seconds since the epoch."""

    id: str
    state: str
    created: float
    started: float | None
    ended: float | None


class PrefectApi:
    """A raw HTTP client of one Prefect server."""

    def __init__(self, api: str) -> None:
        limits = httpx.Limits(max_connections=100)
        self._http = httpx.AsyncClient(base_url=f"{api}/", timeout=60, limits=limits)
        self.unavailable = 0

    async def __aenter__(self) -> PrefectApi:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def knows(self, deployment: str) -> bool:
        """Whether the deployment exists."""
        return (await self._http.get(f"deployments/name/{deployment}")).is_success

    async def deployment_id(self, deployment: str) -> str:
        return (await self._ask("GET", f"deployments/name/{deployment}"))["id"]

    async def trigger(self, deployment_id: str, request: dict[str, Any]) -> str:
        """Create a run for one inline request, with the body that create_flow_run_from_deployment posts."""
        body = {"state": {"type": "SCHEDULED"}, "parameters": {"requests": [request]}}
        return (await self._ask("POST", f"deployments/{deployment_id}/create_flow_run", body))["id"]

    async def ended(self, ids: Sequence[str]) -> list[Run]:
        """The runs, once all of them have ended."""
        async with asyncio.timeout(SETTLES_WITHIN):
            while True:
                runs = await self._runs(ids)
                if len(runs) == len(ids) and all(run.state in ENDED for run in runs):
                    return runs
                await asyncio.sleep(0.25)

    async def _runs(self, ids: Sequence[str]) -> list[Run]:
        found = await self._ask("POST", "flow_runs/filter", {"flow_runs": {"id": {"any_": list(ids)}}})
        return [
            Run(
                id=run["id"],
                state=run["state_type"],
                created=_moment(run["created"]) or 0.0,
                started=_moment(run["start_time"]),
                ended=_moment(run["end_time"]),
            )
            for run in found
        ]

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        while True:
            answer = await self._http.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                answer.raise_for_status()
                return answer.json()
            self.unavailable += 1
            await asyncio.sleep(0.2)


def _moment(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
