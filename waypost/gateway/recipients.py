"""Recipients: who an id is, kept for every client alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Request
from pydantic import ValidationError, WithJsonSchema
from starlette.responses import Response

from waypost.gateway import answers, body, openapi, problems
from waypost.gateway.problems import Fault, Problem
from waypost.gateway.recipient_schema import PATH_ID
from waypost.ledger import people
from waypost.request import Recipient

if TYPE_CHECKING:
    from waypost.gateway.app import Door


# Any path: an id may hold a slash, written so or as %2F.
_PATH = "/{id:path}"
_Id = Annotated[str, WithJsonSchema(PATH_ID)]


def router(door: Door) -> APIRouter:
    """The routes under /v1/recipients."""
    routes = APIRouter(prefix="/v1/recipients", tags=["recipients"])

    @routes.put(_PATH, **openapi.PUT_RECIPIENT)
    async def _put(request: Request, id: _Id) -> Response:
        """Keep exactly this of a recipient: what is left out is unknown from now on."""
        caller = await door.caller(request)
        caller.must("manage")
        async with door.body(request, caller) as sent:
            new = await people.put(door.ledger, _recipient(id, body.parsed(sent)))
        return answers.json(await people.get(door.ledger, id), 201 if new else 200)

    @routes.get(_PATH, **openapi.GET_RECIPIENT)
    async def _get(request: Request, id: _Id) -> Response:
        """What is known of a recipient, addresses in full: it is told to keys that may manage them alone."""
        (await door.caller(request)).must("manage")
        found = await people.get(door.ledger, _id(id))
        if found is None:
            raise Problem("not-found", "nothing is known of a recipient of that id")
        return answers.json(found)

    @routes.delete(_PATH, status_code=204, **openapi.DELETE_RECIPIENT)
    async def _delete(request: Request, id: _Id) -> Response:
        """Forget all that is known of a recipient. Their notifications stay, without an address."""
        (await door.caller(request)).must("manage")
        if not await people.forget(door.ledger, _id(id)):
            raise Problem("not-found", "nothing is known of a recipient of that id")
        return Response(status_code=204)

    return routes


def _recipient(id: str, sent: object) -> Recipient:
    if not isinstance(sent, dict) or "id" in sent:
        raise Problem("invalid", "send the recipient's fields as an object, without its id")
    fields = cast("dict[str, object]", sent)
    if all(value is None for value in fields.values()):
        raise Problem("invalid", "give an email, a phone or anything else there is to know")
    try:
        return Recipient.model_validate({**fields, "id": _id(id)})
    except ValidationError as error:
        raise problems.unfit(error) from None


def _id(id: str) -> str:
    """An id as a path has it. Raises Problem for what no recipient can have."""
    if "\ufffd" in id:
        raise Problem("invalid", "id: not UTF-8", [Fault("id", "not UTF-8 in percent encoding")])
    try:
        return Recipient(id=id).key
    except ValidationError as error:
        raise problems.unfit(error) from None
