"""One event told: posted, and what the answer means."""

from __future__ import annotations

import asyncio
import ssl

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

POST_SECONDS = 15.0  # from finding the address to the answer's status
IN_FLIGHT = 8  # to one webhook at a time


def posts_to(webhook: Webhook, secret_key: bytes, allow_private: bool, tls: ssl.SSLContext) -> SignedPosts:
    """Where a webhook's events go. Raises ValueError, without the URL, when it may not go there now: the
    setting that allowed it is another."""
    return SignedPosts(
        parse(webhook.url, prefix=""),
        keys(secret_key, webhook, now()),
        allow_private=allow_private,
        connections=lambda: IN_FLIGHT,
        tls=tls,
    )


async def post(posts: SignedPosts, webhook: Webhook, event: Event) -> Outcome:
    """What came of telling `event`. Of the answer's body a kilobyte is read, to go on with the connection."""
    found: Outcome | None = None
    try:
        async with (
            asyncio.timeout(POST_SECONDS),
            posts.post(event_id(webhook.id, event), payload(event)) as response,
        ):
            found = classify.outcome(response.status, response.headers, now())
            await first_bytes(response)
    except TimeoutError:
        return found or classify.lost(Phase.CONNECT, f"no answer within {POST_SECONDS:g} s")
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        return found or classify.lost(Phase.CONNECT, why(error))
    except FAILURES:
        return found or classify.lost(Phase.DATA, "connection lost, or no HTTP in answer")
    return found
