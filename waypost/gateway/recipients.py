"""Recipients: who an id is, kept for every client alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from waypost.gateway import answers, body, openapi, problems
from waypost.gateway.problems import Fault, Problem
from waypost.ledger import people
from waypost.request import Recipient

if TYPE_CHECKING:
    from waypost.gateway.app import Door


def router(door: Door) -> APIRouter:
    """The routes under /v1/recipients."""
    routes = APIRouter(prefix="/v1/recipients", tags=["recipients"])

    @routes.put("/{id}", **openapi.PUT_RECIPIENT)
    async def _put(request: Request, id: str) -> Response:
        """Keep exactly this of a recipient: what is left out is unknown from now on."""
        (await door.caller(request)).must("manage")
        recipient = _recipient(id, body.parsed(await body.read(request, body.ONE)))
        new = await people.put(door.ledger, recipient)
        return answers.json(await people.get(door.ledger, id), 201 if new else 200)

    @routes.get("/{id}", **openapi.GET_RECIPIENT)
    async def _get(request: Request, id: str) -> Response:
        """What is known of a recipient, addresses in full: it is told to keys that may manage them alone."""
        (await door.caller(request)).must("manage")
        found = await people.get(door.ledger, _id(id))
        if found is None:
            raise Problem("not-found", "nothing is known of a recipient of that id")
        return answers.json(found)

    @routes.delete("/{id}", status_code=204, **openapi.DELETE_RECIPIENT)
    async def _delete(request: Request, id: str) -> Response:
        """Forget all that is known of a recipient. Their notifications stay, without an address."""
        (await door.caller(request)).must("manage")
        if not await people.forget(door.ledger, _id(id)):
            raise Problem("not-found", "nothing is known of a recipient of that id")
        return Response(status_code=204)

    return routes


def _recipient(id: str, sent: object) -> Recipient:
    if not isinstance(sent, dict) or "id" in sent:
        raise Problem("invalid", "send the recipient's fields as an object, without its id")
    if not sent:
        raise Problem("invalid", "give an email, a phone or anything else there is to know")
    try:
        made = Recipient.model_validate({**sent, "id": id})
    except ValidationError as error:
        raise problems.invalid(error.errors(include_url=False, include_input=False)) from None
    if "\0" in repr(made):
        raise Problem("invalid", "a text holds a NUL character", [Fault("body", "holds a NUL character")])
    return made


def _id(id: str) -> str:
    """An id as a path has it. Raises Problem for what no recipient can have."""
    try:
        return Recipient(id=id).key
    except ValidationError as error:
        raise problems.invalid(error.errors(include_url=False, include_input=False)) from None
