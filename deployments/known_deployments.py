"""Reads the deployments of our flows from a Prefect server, all in a few requests.

A request per deployment costs more than everything else of a start that changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowFilter, FlowFilterName
from prefect.client.schemas.responses import DeploymentResponse

One = TypeVar("One")
PAGE = 100  # in a request; Prefect's default limit for a request is 200


class KnownDeployments:
    """Reads deployments by their full names. Another flow's deployment may have the name of a type, so the
    flows' names count too: they are kept, as a flow keeps its name."""

    def __init__(self) -> None:
        self._flow_names: dict[UUID, str] = {}

    async def read(
        self, client: PrefectClient, wanted: Iterable[str], also: Iterable[str] = ()
    ) -> dict[str, DeploymentResponse]:
        """Those of the deployments `wanted` that are there, by `FLOW/NAME`; and those of the same flows that
        have the name of another, or a name in `also`."""
        parts = [one.partition("/") for one in wanted]
        flows = FlowFilter(name=FlowFilterName(any_=sorted({flow for flow, _, _ in parts})))
        names = {*(name for _, _, name in parts), *also}
        named = DeploymentFilter(name=DeploymentFilterName(any_=sorted(names)))
        found = [
            one async for one in _every(client.read_deployments, flow_filter=flows, deployment_filter=named)
        ]
        if any(one.flow_id not in self._flow_names for one in found):
            self._flow_names = {
                one.id: one.name async for one in _every(client.read_flows, flow_filter=flows)
            }
        return {
            f"{self._flow_names[one.flow_id]}/{one.name}": one
            for one in found
            if one.flow_id in self._flow_names
        }


async def _every(read: Callable[..., Awaitable[list[One]]], **filters: Any) -> AsyncGenerator[One]:
    """What a request answers, page by page."""
    offset = 0
    while page := await read(**filters, limit=PAGE, offset=offset):
        for one in page:
            yield one
        if len(page) < PAGE:
            return
        offset += PAGE
