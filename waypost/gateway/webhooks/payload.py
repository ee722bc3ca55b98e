"""The id and the body of a webhook event: the same at every attempt. Pure.

{"type": "notification.sent", "timestamp": "2026-11-25T09:00:00.123456Z",
 "data": {"id": "0199...", "type": "order-confirmation", "state": "sent", "reason": "", "rule": null,
          "tags": ["spring"], "template_version": "3f9c02b7d41e"}}
"""

from __future__ import annotations

from datetime import UTC
from uuid import UUID, uuid5

import orjson

from waypost.ledger.records.webhook_outbox import Event
from waypost.mail.masking import mask_in
from waypost.model.permission import rule_in


def event_id(webhook: UUID, event: Event) -> str:
    """The header `webhook-id`, derived from the event's content too: the row's number alone may be reused
    in a table that was emptied or a database that was restored."""
    said = f"{event.id}:{event.notification_id}:{event.state}:{event.at.astimezone(UTC).isoformat()}"
    return f"evt_{uuid5(webhook, said).hex}"


def payload(event: Event) -> bytes:
    """The body, addresses masked."""
    return orjson.dumps(
        {
            "type": f"notification.{event.state}",
            "timestamp": event.at,
            "data": {
                "id": str(event.notification_id),
                "type": event.type,
                "state": event.state,
                "reason": mask_in(event.reason),
                "rule": rule_in(event.state, event.reason),
                "tags": list(event.tags),
                "template_version": event.template_version,
            },
        },
        option=orjson.OPT_UTC_Z,
    )
