"""Routes that accept, show, list and cancel notifications."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from waypost.gateway import openapi
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.http import body, responses
from waypost.gateway.http.listing import Listing, each_once
from waypost.gateway.problems import Fault, Problem
from waypost.ledger.operations import retry_cancel
from waypost.ledger.operations.explanation import Explanation
from waypost.ledger.operations.retry_cancel import not_cancelled
from waypost.ledger.operations.search import Filter, find
from waypost.ledger.operations.timeline import explain
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.states import State
from waypost.system.keyed_semaphore import KeyedSemaphore

if TYPE_CHECKING:
    from waypost.gateway.context import GatewayContext

LISTS_AT_ONCE = 2  # per client: a list may scan all that the client ever sent; others must not wait for it
_KEY = re.compile("[!-~]{1,200}")


def router(context: GatewayContext) -> APIRouter:
    """The routes under /v1/notifications."""
    routes = APIRouter(prefix="/v1/notifications", tags=["notifications"])
    lists = KeyedSemaphore(LISTS_AT_ONCE)

    @routes.post("", status_code=202, **openapi.SEND)
    async def _send(request: Request) -> Response:
        """Accept one notification. It is durable when the response is sent."""
        caller = await context.caller(request)
        async with context.body(request, caller) as sent:
            candidate = context.intake.candidate(caller, body.checked(sent), _key(request))
            return _accepted(await context.intake.accept(candidate))

    @routes.post("/batch", **openapi.SEND_MANY)
    async def _send_many(request: Request) -> Response:
        """Accept up to 1,000 notifications, with a result for each."""
        caller = await context.caller(request)
        caller.require_any("send")
        if request.headers.getlist("idempotency-key"):
            wrong = "not allowed for a batch; give each item its own idempotency_key"
            raise Problem("invalid", f"Idempotency-Key: {wrong}", [Fault("Idempotency-Key", wrong)])
        async with context.body(request, caller, body.MANY) as sent:
            results = await context.intake.accept_many(caller, sent)
        return responses.json({"results": [_result(one) for one in results]})

    @routes.get("", **openapi.LIST)
    async def _list(
        request: Request,
        query: Annotated[Listing, Query()],
    ) -> Response:
        """List the client's notifications, the newest first. `after`: the `next` of the previous page."""
        each_once(request, "state")
        caller = await context.caller(request)
        caller.require("read", query.type)
        async with lists.of(caller.client):
            found = await find(context.ledger, query.of(caller.client), query.after, query.limit)
        return responses.json(responses.page(found))

    @routes.get("/{id:uuid}", **openapi.GET)
    async def _get(request: Request, id: UUID) -> Response:
        """Return one notification: its state, the reason, and every attempt."""
        caller = await context.caller(request)
        return responses.json(responses.notification(await _own(context, caller, id, "read")))

    @routes.post("/{id:uuid}/cancel", **openapi.CANCEL)
    async def _cancel(request: Request, id: UUID) -> Response:
        """Cancel an unsent notification. Cancelling it again returns the same response."""
        caller = await context.caller(request)
        found = await _own(context, caller, id, "manage")
        if found.state != State.CANCELLED:
            await retry_cancel.cancel(
                context.ledger, Filter(ids=(id,), client=caller.client), by=f"client {caller.client}"
            )
            found = await _own(context, caller, id, "manage")
        if found.state != State.CANCELLED:
            raise Problem("not-cancellable", f"the notification is {found.state}: {_why_not(found)}")
        return responses.json({"id": str(id), "state": found.state})

    return routes


def _key(request: Request) -> str | None:
    """The Idempotency-Key header. Raises Problem for an invalid key, and for more than one."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not _KEY.fullmatch(key):
        wrong = "given more than once" if len(keys) > 1 else "not 1 to 200 visible ASCII characters"
        raise Problem("invalid", f"Idempotency-Key: {wrong}", [Fault("Idempotency-Key", wrong)])
    return key


def _accepted(receipt: Receipt) -> Response:
    """A repeat gets the first response word for word; only a header marks it as a repeat."""
    headers = {"location": f"/v1/notifications/{receipt.id}"}
    if receipt.outcome is IntakeResult.REPEATED:
        headers["idempotency-replayed"] = "true"
    return responses.json(responses.accepted(receipt), 202, headers)


def _result(one: Receipt | Problem) -> dict[str, Any]:
    """An item's status, with the body that the single route would have returned."""
    if isinstance(one, Problem):
        return {"status": one.kind.status, "error": one.body()}
    return {"status": 202, **responses.accepted(one)}


async def _own(context: GatewayContext, caller: Caller, id: UUID, action: str) -> Explanation:
    """The caller's notification. Raises Problem; another client's notification is treated as unknown."""
    caller.require_any(action)
    found = await explain(context.ledger, id)
    if found is None or found.client != caller.client:
        raise Problem("not-found", "this client has no notification with that id")
    caller.require(action, found.type)
    return found


def _why_not(found: Explanation) -> str:
    if found.digest_id is not None:
        return "it is part of a digest"
    kind = retry_cancel.Situation(found.state, found.type, in_digest=False, for_digest=False)
    return not_cancelled(kind) or "a run has just claimed it; retry"
