"""Codes and links: does it prove the address?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from waypost import verification
from waypost.gateway import answers, body, openapi, problems
from waypost.gateway.checks import Check

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
        try:
            asked = Check.model_validate_json(await body.read(request, body.ONE))
        except ValidationError as error:
            raise problems.invalid(error.errors(include_url=False, include_input=False)) from None
        if asked.token is not None:
            found = await verification.verify_link(door.ledger, door.secret_key, asked.token, caller.client)
        else:
            found = await verification.verify(
                door.ledger, door.secret_key, asked.recipient or "", asked.code or "", caller.client
            )
        return answers.json({"result": str(found)})

    return routes
