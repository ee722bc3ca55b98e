"""The route that lists the types, each with the JSON Schema of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from waypost.gateway import openapi
from waypost.gateway.http import responses
from waypost.gateway.intake import RegisteredType

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext


def router(context: GatewayContext) -> APIRouter:
    """The routes under /v1/types."""
    routes = APIRouter(prefix="/v1/types", tags=["types"])
    described = {"types": [_described(one) for _, one in sorted(context.types.items())]}

    @routes.get("", **openapi.TYPES)
    async def _list(request: Request) -> Response:
        """List all types that requests can name."""
        await context.caller(request)
        return responses.json(described)

    return routes


def _described(one: RegisteredType) -> dict[str, Any]:
    type = one.type
    return {
        "type": type.name,
        "category": str(type.category),
        "channels": list(type.kinds),
        "priority": str(type.lane),
        "deadline_seconds": int(type.deadline.total_seconds()),
        "schema": type.facts.model_json_schema(),
    }
