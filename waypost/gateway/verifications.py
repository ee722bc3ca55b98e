"""Codes and links: does it prove the address?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from waypost import verification
from waypost.gateway import answers, body, openapi, problems
from waypost.gateway.checks import CodeCheck, LinkCheck, asked
from waypost.ledger.verifications import Checked

if TYPE_CHECKING:
    from waypost.gateway.app import Door


def router(door: Door) -> APIRouter:
    """The routes under /v1/verifications."""
    routes = APIRouter(prefix="/v1/verifications", tags=["verifications"])

    @routes.post("/check", **openapi.CHECK)
    async def _check(request: Request) -> Response:
        """Check a code that this client had sent. It works once; five wrong tries end it."""
        caller = await door.caller(request)
        caller.must_some("send")
        async with door.body(request, caller) as sent:
            try:
                check = asked(body.parsed(sent))
            except ValidationError as error:
                raise problems.unfit(error) from None
        return answers.json({"result": str(await _checked(door, check, caller.client))})

    return routes


async def _checked(door: Door, check: CodeCheck | LinkCheck, client: str) -> Checked:
    if isinstance(check, LinkCheck):
        return await verification.verify_link(door.ledger, door.secret_key, check.token, client)
    return await verification.verify(door.ledger, door.secret_key, check.recipient, check.code, client)
