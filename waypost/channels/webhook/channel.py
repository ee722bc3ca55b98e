"""Posts messages to a product's own URL, signed as in Standard Webhooks.

    {"type": "order-shipped", "timestamp": "2026-11-25T09:00:00Z", "data": {"id": "0199...",
     "recipient": "ada", "address": "ada", "title": "...", "text": "...", "expires_at": "..."}}

`timestamp` is when the notification was accepted. `data.id` is also the header `webhook-id`, the same at
every attempt, so that the receiver can detect duplicates. `recipient` is the id the product gave; `address`
is the recipient's address for the message's kind.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.channels.redacted import RedactedChannel
from waypost.channels.send_gate import SendGate
from waypost.channels.webhook import response_text
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Phase
from waypost.net.guarded_connect import why
from waypost.net.signed_http import FAILURES, SignedPosts, first_bytes
from waypost.net.webhook_signature import written
from waypost.net.webhook_url import Hook
from waypost.policy import classify
from waypost.policy.redaction.redact import parts_of
from waypost.system.clock import now
from waypost.system.isolation import ItemFailed, isolated


class _CalledOff(Exception):
    """The message was cancelled before it went out."""


class WebhookChannel(RedactedChannel):
    """One URL. `secrets` are keys of 24 to 64 bytes; each message is signed with all of them."""

    checked = "the URL and the secrets are valid"

    def __init__(
        self,
        name: str,
        hook: Hook,
        secrets: Sequence[bytes],
        *,
        allow_private: bool = False,
        attempt_seconds: float = 60.0,
        kind: str = "webhook",
        connections: int = 4,
        ca: str | None = None,
    ) -> None:
        """allow_private: whether `hook` may lead to this machine or a private network. connections: the most
        open at once. ca: a file of certificate authorities to trust instead of the system's.

        Raises ValueError, without repeating an address or a secret; OSError when `ca` cannot be read.
        """
        if not secrets:
            raise ValueError("a webhook needs at least one secret: whsec_ and base64")
        if kind == "email":
            raise ValueError("a webhook carries short messages, not mail")
        super().__init__(name, [*parts_of(hook.target), *map(written, secrets)])
        self.kind = kind
        self.permits = PrioritySemaphore(connections)
        self._attempt_seconds = attempt_seconds
        self._posts = SignedPosts(
            hook,
            secrets,
            allow_private=allow_private,
            connections=lambda: self.permits.most,
            ca=ca,
        )
        self._under_way: dict[asyncio.Task[Any] | None, SendGate] = {}

    async def _open(self) -> None:
        """Nothing to open: the first message opens a connection."""

    async def _send(self, message: Message) -> Outcome:
        """Post one message, with one limit around the whole attempt.

        Raises ChannelUnavailable when there was no connection to post it over.
        """
        if message.notification.expired:
            return classify.too_late()
        task = asyncio.current_task()
        gate = self._under_way[task] = SendGate()
        try:
            async with asyncio.timeout(self._attempt_seconds) as gate.limit:
                with isolated("sending", TimeoutError, _CalledOff, *FAILURES, item=message.notification.id):
                    return await self._post(gate, message)
        except (TimeoutError, _CalledOff):
            return gate.cut_off(f"no response within {self._attempt_seconds:g} s")
        except FAILURES as error:
            if gate.phase is Phase.CONNECT:
                raise ChannelUnavailable(self.name, why(error)) from None
            return gate.cut_off("connection lost, or the response is not HTTP")
        except ItemFailed as failed:
            return gate.broken(str(failed))
        finally:
            self._under_way.pop(task, None)

    async def _post(self, gate: SendGate, message: Message) -> Outcome:
        id, body = str(message.notification.id), payload(message)
        async with self._posts.post(id, body, _followed_by(gate)) as response:
            found = classify.outcome(response.status, response.headers, now())
            gate.outcome = found
            said = await first_bytes(response)
        text = f"{message.title} {message.content.decode()}"
        return response_text.with_words(found, said, response_text.private_words(text))

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """End the posts that were not sent yet; wait a little for the responses to the others."""
        for task in tasks:
            if gate := self._under_way.get(task):
                gate.stop()

    async def close(self) -> None:
        """Close the open connections."""
        await self._posts.close()


def payload(message: Message) -> bytes:
    """The body that carries `message`, the same at every attempt."""
    notification = message.notification
    return json.dumps(
        {
            "type": notification.type,
            "timestamp": _written(notification.accepted_at),
            "data": {
                "id": str(notification.id),
                "recipient": notification.recipient.key,
                "address": message.address,
                "title": message.title,
                "text": message.content.decode(),
                "expires_at": _written(notification.expires_at),
            },
        },
        separators=(",", ":"),
    ).encode()


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _followed_by(gate: SendGate) -> Callable[[str], None]:
    """A callback for a post's progress. A server that has only the head of a request has no message yet:
    the post can be cancelled until the first byte of the body."""

    def follow(event: str) -> None:
        match event:
            case "http11.send_request_headers.started":
                gate.phase = Phase.DATA
            case "http11.send_request_body.started" if not gate.commit():
                raise _CalledOff
            case _:
                pass

    return follow
