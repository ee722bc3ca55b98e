"""The gateway's JSON responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from waypost.ledger.operations.explanation import Attempt, Explanation
from waypost.ledger.operations.search import Entry, Page
from waypost.model.receipt import Receipt

HEADERS = {"cache-control": "no-store"}


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as a response; moments are RFC 3339 in UTC."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS, default=str)
    return Response(body, status, {**HEADERS, **(headers or {})}, "application/json")


def accepted(receipt: Receipt) -> dict[str, Any]:
    """The response to a request and to each repeat of it: its id and its first state."""
    return {"id": str(receipt.id), "state": str(receipt.first_state)}


def notification(found: Explanation) -> dict[str, Any]:
    """Everything that a client may know about its notification, with addresses masked."""
    return {
        "id": str(found.id),
        "type": found.type,
        "priority": found.priority,
        "recipient": found.recipient,
        "brand": found.brand,
        "state": found.state,
        "reason": found.reason,
        "count": found.count,
        "accepted_at": found.accepted_at,
        "due_at": found.due_at,
        "expires_at": found.expires_at,
        "finished_at": found.finished_at,
        "attempts": [_attempt(one) for one in found.attempts],
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "number": one.number,
        "channel": one.channel,
        "provider": one.provider,
        "started_at": one.started_at,
        "finished_at": one.finished_at,
        "verdict": one.verdict,
        "code": one.code,
        "said": one.words,
        "template_version": one.template_version,
        "rule": one.rule,
    }


def page(found: Page) -> dict[str, Any]:
    """next: the cursor of the next page; null on the last page."""
    return {
        "notifications": [_entry(one) for one in found.notifications],
        "next": None if found.next is None else str(found.next),
    }


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "type": one.type,
        "recipient": one.recipient,
        "brand": one.brand,
        "state": one.state,
        "reason": one.reason,
        "attempts": one.attempts,
        "provider": one.provider or None,
        "accepted_at": one.accepted_at,
        "due_at": one.due_at,
        "finished_at": one.finished_at,
    }
