"""Routes for the recipients that each client has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError, WithJsonSchema
from starlette.responses import Response

from waypost.gateway import openapi, problems
from waypost.gateway.http import body, responses
from waypost.gateway.http.listing import each_once
from waypost.gateway.http.recipient_request import (
    PARTS,
    PATH_ID,
    PATH_WHO,
    ExportPage,
    part_of,
)
from waypost.gateway.problems import Fault, Problem
from waypost.ledger.operations import recipient_export
from waypost.ledger.records import recipients
from waypost.mail.address import key_of_url
from waypost.model.attributes import TooMany
from waypost.model.profile import Profile
from waypost.model.request import Recipient
from waypost.system.keyed_semaphore import KeyedSemaphore

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext

EXPORTS_AT_ONCE = 2  # per client: an export reads all facts; others must not wait for it
# Any path: an id may contain a slash, as it is or as %2F.
_PATH = "/{id:path}"
_Id = Annotated[str, WithJsonSchema(PATH_ID)]
_Who = Annotated[str, WithJsonSchema(PATH_WHO)]


def router(context: GatewayContext) -> APIRouter:
    """The routes under /v1/recipients."""
    routes = APIRouter(prefix="/v1/recipients", tags=["recipients"])
    exports = KeyedSemaphore(EXPORTS_AT_ONCE)

    @routes.get(_PATH + "/export", **openapi.EXPORT_RECIPIENT)
    async def _export(request: Request, id: _Who, query: Annotated[ExportPage, Query()]) -> Response:
        """Return everything that is kept of a recipient, with addresses in full: its profile, what it chose,
        the suppressions of its addresses, and its notifications, the newest first. `after`: the `next` of the
        previous page."""
        if part_of(request) is None:
            return await show(context, request, f"{id}/export")
        each_once(request)
        caller = await context.caller(request)
        caller.require("manage")
        key = key_of(id)
        async with exports.of(caller.client):
            about = await recipient_export.about(context.ledger, key, caller.client)
            if about is None:
                raise _unknown()
            found, last = await recipient_export.page(
                context.ledger, key, context.declared, caller.client, query.after, query.limit
            )
        return responses.json({**about, "notifications": found, "next": last})

    @routes.put(_PATH, **openapi.PUT_RECIPIENT)
    async def _put(request: Request, id: _Id) -> Response:
        """Replace a stored recipient: fields that are left out are forgotten."""
        _not_of_a_part(request)
        caller = await context.caller(request)
        caller.require("manage")
        async with context.body(request, caller) as sent:
            made = await recipients.put(context.ledger, _recipient(id, body.parsed(sent)), caller.client)
        return responses.json(made.fields, 201 if made.new else 200)

    @routes.get(_PATH, **openapi.GET_RECIPIENT)
    async def _get(request: Request, id: _Who) -> Response:
        """Return a stored recipient, with unmasked addresses. Needs a key with the scope `manage`."""
        return await show(context, request, id)

    @routes.patch(_PATH, **openapi.PATCH_RECIPIENT)
    async def _patch(request: Request, id: _Id) -> Response:
        """Change fields of a recipient. Fields that are left out stay; null deletes a field. An unknown
        recipient is stored."""
        _not_of_a_part(request)
        return await change(context, request, id)

    @routes.delete(_PATH, status_code=204, **openapi.DELETE_RECIPIENT)
    async def _delete(request: Request, id: _Who) -> Response:
        """Forget a recipient and what it chose. Its notifications stay, without an address. Suppressions of
        its addresses stay too."""
        _not_of_a_part(request)
        caller = await context.caller(request)
        caller.require("manage")
        if not await recipients.forget(context.ledger, key_of(id), caller.client):
            raise _unknown()
        return Response(status_code=204)

    return routes


async def show(context: GatewayContext, request: Request, id: str) -> Response:
    """The stored recipient that a path names. Raises Problem."""
    caller = await context.caller(request)
    caller.require("manage")
    found = await recipients.get(context.ledger, key_of(id), caller.client)
    if found is None:
        raise _unknown()
    return responses.json(found)


async def change(context: GatewayContext, request: Request, id: str) -> Response:
    """Store the fields in the body of `request`, and leave the others. Raises Problem."""
    caller = await context.caller(request)
    caller.require("manage")
    async with context.body(request, caller) as sent:
        fields = _fields(body.parsed(sent))
    if not fields:
        raise Problem("invalid", "the body names no field; send at least one, such as email or phone")
    changed = _checked(id, fields)
    try:
        stored = await recipients.patch(context.ledger, changed, fields.keys(), caller.client)
    except TooMany as error:
        wrong = str(error).partition(": ")[2]
        raise Problem("invalid", str(error), [Fault("attributes", wrong)]) from None
    if stored is None:
        raise _unknown()
    return responses.json(stored.fields, 201 if stored.new else 200)


def _not_of_a_part(request: Request) -> None:
    """Raise Problem for a path such as `/v1/recipients/ada/preferences`, whose id would be another's."""
    if part := part_of(request):
        raise Problem(
            "method-not-allowed",
            f"this path supports {PARTS[part]}; a slash that is part of an id is written as %2F",
            headers={"allow": PARTS[part]},
        )


def _fields(sent: object) -> dict[str, object]:
    if not isinstance(sent, dict) or "id" in sent:
        raise Problem("invalid", "the body must be an object with the recipient's fields, without its id")
    return cast("dict[str, object]", sent)


def _recipient(id: str, sent: object) -> Profile:
    fields = _fields(sent)
    if all(value in (None, {}, []) for value in fields.values()):
        raise Problem("invalid", "the recipient has no fields; send at least one, such as email or phone")
    found = _checked(id, fields)
    if any(value is None for value in (found.attributes or {}).values()):
        wrong = "null removes an attribute with PATCH; leave it out of a PUT"
        raise Problem("invalid", f"attributes: {wrong}", [Fault("attributes", wrong)])
    return found


def _checked(id: str, fields: dict[str, object]) -> Profile:
    try:
        return Profile.model_validate({**fields, "id": _id(id)})
    except ValidationError as error:
        raise problems.unfit(error) from None


def _unknown() -> Problem:
    return Problem("not-found", "this client has no recipient with that id")


def key_of(id: str) -> str:
    """The key of a recipient that a path names by its id, or by the URL of its address where it has no id.
    Raises Problem for a path that names no recipient."""
    try:
        return key_of_url(id) or _id(id)
    except ValueError as error:
        raise Problem("invalid", f"id: {error}", [Fault("id", str(error))]) from None


def _id(id: str) -> str:
    """The key for an id in a path. Raises Problem for an invalid id."""
    if "\ufffd" in id:
        raise Problem("invalid", "id: not UTF-8", [Fault("id", "not UTF-8 in percent encoding")])
    try:
        return Recipient(id=id).key
    except ValidationError as error:
        raise problems.unfit(error) from None
