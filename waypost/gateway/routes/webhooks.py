"""Routes for a client's webhooks, which receive the states of its notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from waypost.gateway import openapi, problems
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.http import body, responses
from waypost.gateway.http.webhook_request import NewWebhook, check_place
from waypost.gateway.problems import Fault, Problem
from waypost.gateway.webhooks.secrets import secret
from waypost.ledger.records import webhooks
from waypost.ledger.records.webhooks import TooManyWebhooks, UnknownWebhook, Webhook

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext


def router(context: GatewayContext) -> APIRouter:
    """The routes under /v1/webhooks."""
    routes = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

    @routes.post("", status_code=201, **openapi.CREATE_WEBHOOK)
    async def _create(request: Request) -> Response:
        """Create a webhook, a URL that receives the states of this client's notifications. They are signed
        with the returned secret."""
        caller = await _caller(context, request)
        async with context.body(request, caller) as sent:
            asked = _asked(body.parsed(sent), context.private_webhooks)
        try:
            made = await webhooks.create(
                context.ledger, context.secret_key, caller.client, asked.url, asked.states
            )
        except TooManyWebhooks as error:
            raise Problem("limit-reached", str(error)) from None
        return responses.json(_with_secret(context, made), 201, {"location": f"/v1/webhooks/{made.id}"})

    @routes.get("", **openapi.LIST_WEBHOOKS)
    async def _list(request: Request) -> Response:
        """List the client's webhooks, the oldest first."""
        client = (await _caller(context, request)).client
        return responses.json(
            {"webhooks": [told(one) for one in await webhooks.every(context.ledger, client)]}
        )

    @routes.get("/{id:uuid}", **openapi.GET_WEBHOOK)
    async def _get(request: Request, id: UUID) -> Response:
        """Return one webhook, without its secret."""
        client = (await _caller(context, request)).client
        try:
            return responses.json(told(await webhooks.find(context.ledger, id, client)))
        except UnknownWebhook:
            raise _not_found() from None

    @routes.delete("/{id:uuid}", status_code=204, **openapi.DELETE_WEBHOOK)
    async def _delete(request: Request, id: UUID) -> Response:
        """Delete a webhook, with the events that it has not received yet."""
        client = (await _caller(context, request)).client
        try:
            await webhooks.delete(context.ledger, id, client)
        except UnknownWebhook:
            raise _not_found() from None
        return Response(status_code=204)

    @routes.post("/{id:uuid}/rotate", **openapi.ROTATE_WEBHOOK)
    async def _rotate(request: Request, id: UUID) -> Response:
        """Create a new secret. For 24 hours, events are also signed with the previous secret."""
        client = (await _caller(context, request)).client
        try:
            rotated = await webhooks.rotate(context.ledger, context.secret_key, id, client)
            return responses.json(_with_secret(context, rotated))
        except UnknownWebhook:
            raise _not_found() from None

    return routes


def told(webhook: Webhook) -> dict[str, Any]:
    """All fields of a webhook except its secret."""
    return {
        "id": str(webhook.id),
        "url": webhook.url,
        "states": webhook.states,
        "created_at": webhook.created_at,
        "overlap_until": webhook.overlap_until,
        "gone_at": webhook.gone_at,
        "failing_since": webhook.failing_since,
    }


def _with_secret(context: GatewayContext, webhook: Webhook) -> dict[str, Any]:
    return {**told(webhook), "secret": secret(context.secret_key, webhook)}


async def _caller(context: GatewayContext, request: Request) -> Caller:
    caller = await context.caller(request)
    caller.require("manage")
    return caller


def _asked(sent: object, allow_private: bool) -> NewWebhook:
    try:
        asked = NewWebhook.model_validate(sent)
    except ValidationError as error:
        raise problems.unfit(error) from None
    try:
        check_place(asked.url, allow_private)
    except ValueError as error:
        raise Problem("invalid", f"url: {error}", [Fault("url", str(error))]) from None
    return asked


def _not_found() -> Problem:
    return Problem("not-found", "this client has no webhook with that id")
