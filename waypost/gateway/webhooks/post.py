"""Posts one event and classifies the response."""

from __future__ import annotations

import asyncio

import httpcore

from waypost.gateway.webhooks.payload import event_id, payload
from waypost.gateway.webhooks.secrets import keys
from waypost.ledger.records.webhook_outbox import Event
from waypost.ledger.records.webhooks import Webhook
from waypost.model.outcome import Outcome, Phase
from waypost.net.guarded_connect import why
from waypost.net.signed_http import FAILURES, SignedPosts, first_bytes
from waypost.net.webhook_url import parse
from waypost.policy import classify
from waypost.system.clock import now

POST_SECONDS = 15.0  # from resolving the host to the response's status
IN_FLIGHT = 8  # posts to one webhook at a time


def posts_to(webhook: Webhook, secret_key: bytes, allow_private: bool) -> SignedPosts:
    """The sender of a webhook's events. Raises ValueError, without the URL, if the URL is no longer allowed
    because the setting that allowed it has changed."""
    return SignedPosts(
        parse(webhook.url, prefix=""),
        keys(secret_key, webhook, now()),
        allow_private=allow_private,
        connections=lambda: IN_FLIGHT,
    )


async def post(posts: SignedPosts, webhook: Webhook, event: Event) -> Outcome:
    """Post `event`. Up to a kilobyte of the response's body is read, so that the connection can be reused."""
    found: Outcome | None = None
    try:
        async with (
            asyncio.timeout(POST_SECONDS),
            posts.post(event_id(webhook.id, event), payload(event)) as response,
        ):
            found = classify.outcome(response.status, response.headers, now())
            await first_bytes(response)
    except TimeoutError:
        return found or classify.lost(Phase.CONNECT, f"no response within {POST_SECONDS:g} s")
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        return found or classify.lost(Phase.CONNECT, why(error))
    except FAILURES:
        return found or classify.lost(Phase.DATA, "connection lost, or the response is not HTTP")
    return found
