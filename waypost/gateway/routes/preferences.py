"""Routes for what recipients chose, and what a client chose for all of its recipients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from pydantic import ValidationError, WithJsonSchema
from starlette.responses import Response

from waypost.gateway import openapi, problems
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.http import body, responses
from waypost.gateway.http.preferences_request import CHOICES, Chosen, checked
from waypost.gateway.http.recipient_request import PATH_WHO, part_of
from waypost.gateway.routes import recipients as routes_of_recipients
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.ledger.records import preferences, recipients
from waypost.ledger.records.preferences import AUDIENCE
from waypost.mail.address import is_address_url
from waypost.model.category import Category

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext

_Who = Annotated[str, WithJsonSchema(PATH_WHO)]
_PATH = "/v1/recipients/{id:path}/preferences"


def router(context: GatewayContext) -> APIRouter:
    """The routes of preferences. They come before those of recipients, whose ids may hold slashes."""
    routes = APIRouter(prefix="", tags=["preferences"])

    @routes.get(_PATH, **openapi.GET_PREFERENCES)
    async def _get(request: Request, id: _Who) -> Response:
        """Return what a recipient chose, by category. Categories without a choice are left out."""
        if part_of(request) is None:
            return await routes_of_recipients.show(context, request, f"{id}/preferences")
        caller = await _caller(context, request)
        return await _told(context, caller, routes_of_recipients.key_of(id))

    @routes.patch(_PATH, **openapi.PATCH_PREFERENCES)
    async def _patch(request: Request, id: _Who) -> Response:
        """Change what a recipient chose. Categories that are left out stay; null goes back to the default.
        Notifications that wait are suppressed if their category is turned off."""
        if part_of(request) is None:
            return await routes_of_recipients.change(context, request, f"{id}/preferences")
        caller = await _caller(context, request)
        return await _change(context, request, caller, routes_of_recipients.key_of(id))

    @routes.get("/v1/preferences", **openapi.GET_PREFERENCES_OF_ALL)
    async def _get_of_all(request: Request) -> Response:
        """Return what the client chose for all of its recipients, by category. A recipient's own choice
        comes first."""
        return await _told(context, await _caller(context, request), AUDIENCE)

    @routes.patch("/v1/preferences", **openapi.PATCH_PREFERENCES_OF_ALL)
    async def _patch_of_all(request: Request) -> Response:
        """Change what applies to all recipients of the client that chose nothing themselves. Categories that
        are left out stay; null goes back to the default of the installation."""
        return await _change(context, request, await _caller(context, request), AUDIENCE)

    return routes


async def _caller(context: GatewayContext, request: Request) -> Caller:
    caller = await context.caller(request)
    caller.require("manage")
    return caller


async def _change(context: GatewayContext, request: Request, caller: Caller, key: str) -> Response:
    async with context.body(request, caller) as sent:
        asked = _asked(body.parsed(sent))
    kinds = {kind for one in context.types.values() for kind in one.type.kinds}
    checked(asked, context.categories, kinds)
    chosen = {category: one.preference for category, one in asked.items() if one is not None}
    if chosen:
        lifts_at = await _addresses(context, caller.client, key)
        choosing = Choosing(caller.client, key, chosen, "api", lifts_at=lifts_at)
        await choose(context.ledger, choosing, context.types_of)
    if reset := [category for category, one in asked.items() if one is None]:
        await preferences.forget(context.ledger, caller.client, key, reset)
    return await _told(context, caller, key)


async def _addresses(context: GatewayContext, client: str, key: str) -> list[str]:
    """The addresses at which one-click unsubscribing is undone if the recipient turns a category on."""
    if key == AUDIENCE:
        return []
    if is_address_url(key):
        return [key.partition(":")[2]]
    found = await recipients.get(context.ledger, key, client)
    return [one["address"] for one in found["addresses"]] if found else []


def _asked(sent: object) -> Mapping[Category, Chosen | None]:
    try:
        return CHOICES.validate_python(sent)
    except ValidationError as error:
        raise problems.unfit(error) from None


async def _told(context: GatewayContext, caller: Caller, key: str) -> Response:
    found = await preferences.choices(context.ledger, caller.client, key)
    return responses.json({str(category): preferences.described(one) for category, one in found.items()})
