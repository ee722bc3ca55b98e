"""Routes for the addresses that a client's notifications must not go to.

A client lists and changes only its own suppressions: a list of those for all clients would tell it whom
others write to. Of an address that it names, it also sees those for all clients, which the reasons of its
notifications tell it too, but not what led to them. Only a person with access to the installation lifts
these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError, WithJsonSchema
from starlette.responses import Response

from waypost.gateway import openapi, problems
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.http import body, responses
from waypost.gateway.http.listing import each_once
from waypost.gateway.http.suppression_request import (
    ADDRESS,
    NewSuppression,
    SuppressionListing,
    WhichSuppressions,
    checked_address,
    cursor,
    key_of_cursor,
)
from waypost.gateway.problems import Fault, Problem
from waypost.ledger.records import suppressions
from waypost.ledger.records.suppressions import Which
from waypost.model.suppression import EVERY_CLIENT, Suppression
from waypost.system.clock import now

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext

_Address = Annotated[str, WithJsonSchema(ADDRESS)]
_PATH = "/{address:path}"


def router(context: GatewayContext) -> APIRouter:
    """The routes under /v1/suppressions."""
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])

    @routes.get("", **openapi.LIST_SUPPRESSIONS)
    async def _list(request: Request, query: Annotated[SuppressionListing, Query()]) -> Response:
        """List the client's suppressions in force, by address. With `address`, also those for all clients."""
        each_once(request)
        caller = await _caller(context, request)
        which, after = _listed(query, caller.client), query.after and key_of_cursor(query.after)
        found, last = await suppressions.page(context.ledger, which, after or None, query.limit)
        listed = [suppressions.described(one) for one in found]
        return responses.json({"suppressions": listed, "next": cursor(last)})

    @routes.put(_PATH, **openapi.PUT_SUPPRESSION)
    async def _put(request: Request, address: _Address) -> Response:
        """Suppress an address: nothing of the client goes there any more, except mandatory categories. A
        suppression with the same address, category and cause gets the new reason and end."""
        caller = await _caller(context, request)
        async with context.body(request, caller) as sent:
            made = _asked(checked_address(address), body.parsed(sent), caller.client)
        await suppressions.add(context.ledger, [made])
        return responses.json(suppressions.described(made))

    @routes.delete(_PATH, status_code=204, **openapi.DELETE_SUPPRESSION)
    async def _delete(
        request: Request, address: _Address, query: Annotated[WhichSuppressions, Query()]
    ) -> Response:
        """Lift the client's suppressions of an address: all, or those of a category or cause."""
        each_once(request)
        caller = await _caller(context, request)
        which = Which(checked_address(address), (caller.client,), query.category, query.cause)
        if not await suppressions.remove(context.ledger, which):
            raise Problem(
                "not-found",
                "this client has no such suppression; one for all clients is lifted with "
                "`waypost suppressions remove`",
            )
        return Response(status_code=204)

    return routes


async def _caller(context: GatewayContext, request: Request) -> Caller:
    caller = await context.caller(request)
    caller.require("manage")
    return caller


def _listed(query: SuppressionListing, client: str) -> Which:
    if query.address is None:
        return Which(None, (client,), query.category, query.cause)
    return Which(checked_address(query.address), (client, EVERY_CLIENT), query.category, query.cause)


def _asked(address: str, sent: object, client: str) -> Suppression:
    try:
        asked = NewSuppression.model_validate(sent)
    except ValidationError as error:
        raise problems.unfit(error) from None
    moment = now()
    if asked.expires_at is not None and asked.expires_at <= moment:
        raise Problem("invalid", "expires_at: it is past", [Fault("expires_at", "it is past")])
    return Suppression(
        address=address,
        scope=asked.category,
        cause=asked.cause,
        client=client,
        evidence=asked.reason,
        created_at=moment,
        expires_at=asked.expires_at,
    )
