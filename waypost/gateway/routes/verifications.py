"""The route that checks a code or a link that verifies an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from waypost.gateway import openapi, problems
from waypost.gateway.http import body, responses
from waypost.gateway.http.verification_request import CodeCheck, LinkCheck, asked
from waypost.ledger.records.verification_codes import Checked
from waypost.verification import codes

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext


def router(context: GatewayContext) -> APIRouter:
    """The routes under /v1/verifications."""
    routes = APIRouter(prefix="/v1/verifications", tags=["verifications"])

    @routes.post("/check", **openapi.CHECK)
    async def _check(request: Request) -> Response:
        """Check a code or a link that this client sent. It works once; five wrong tries end it."""
        caller = await context.caller(request)
        caller.require_any("send")
        async with context.body(request, caller) as sent:
            try:
                check = asked(body.parsed(sent))
            except ValidationError as error:
                raise problems.unfit(error) from None
        return responses.json({"result": str(await _checked(context, check, caller.client))})

    return routes


async def _checked(context: GatewayContext, check: CodeCheck | LinkCheck, client: str) -> Checked:
    if isinstance(check, LinkCheck):
        return await codes.verify_link(context.ledger, context.secret_key, check.token, client, check.type)
    asked_of = check.recipient, check.code
    return await codes.verify(context.ledger, context.secret_key, *asked_of, client, check.type)
