"""Messages posted to a product's own address, signed by Standard Webhooks.

    {"type": "order-shipped", "timestamp": "2026-11-25T09:00:00Z", "data": {"id": "0199...",
     "recipient": "ada", "address": "ada", "title": "...", "text": "...", "expires_at": "..."}}

`timestamp` is when the notification was accepted. `data.id` is the header `webhook-id` too, the same at every
attempt: whoever takes one twice can tell. `recipient` is the id the product gave; `address` is where the
message's kind reaches them. It speaks HTTP/1.1 through httpcore: unlike httpx it lets the address be checked
that a connection goes to, and it logs no URL.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any, cast

import httpcore

from waypost.channels import ChannelUnavailable, replies, webhook_answer
from waypost.channels.handover import Handover
from waypost.channels.places import Places
from waypost.channels.webhook_connect import CONNECT_SECONDS, Guarded, why
from waypost.channels.webhook_signature import checked, signature
from waypost.channels.webhook_url import Hook, admits
from waypost.clock import now
from waypost.notification import Message
from waypost.outcome import Outcome, Phase

IDLE_SECONDS = 3.0  # below what servers keep a connection for (5 s is common): they seldom close one in use
WORDS_SECONDS = 2.0  # how long they are waited for: the status has said it already

_FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class _CalledOff(Exception):
    """The message must not go out any more."""


class WebhookChannel:
    """One address. `secrets` are keys of 24 to 64 bytes; each message is signed with all of them."""

    looked_at = "its URL and secrets have the form they must have"

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
        """allow_private: whether `hook` may lead to this machine or a private network. connections: open at
        most. ca: a file of certificate authorities to trust instead of the system's.

        Raises ValueError, without repeating an address or a secret; OSError when `ca` cannot be read.
        """
        if not secrets:
            raise ValueError("a webhook is signed: give it at least one secret, whsec_ and base64")
        if kind == "email":
            raise ValueError("a webhook carries short messages, no mail")
        self.name = name
        self.kind = kind
        self.places = Places(connections)
        self._hook = hook
        self._url = httpcore.URL(scheme=hook.scheme, host=hook.host, port=hook.port, target=hook.target)
        self._secrets = [checked(secret) for secret in secrets]
        self._attempt_seconds = attempt_seconds
        self._guard = Guarded(admits(hook, allow_private))
        secure = hook.scheme == "https"
        self._tls = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca) if secure else None
        self._under_way: dict[asyncio.Task[Any] | None, Handover] = {}
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def open(self) -> None:
        """Nothing to find out: the first message opens a connection."""

    async def send(self, message: Message) -> Outcome:
        """Post one message, with one limit around the whole attempt.

        Raises ChannelUnavailable when there was no connection to post it over.
        """
        if message.notification.expired:
            return replies.too_late()
        task = asyncio.current_task()
        handover = self._under_way[task] = Handover()
        try:
            async with asyncio.timeout(self._attempt_seconds) as handover.limit:
                return await self._post(handover, message)
        except (TimeoutError, _CalledOff):
            return handover.cut_off(f"no answer within {self._attempt_seconds:g} s")
        except _FAILURES as error:
            if handover.phase is Phase.CONNECT:
                raise ChannelUnavailable(self.name, why(error)) from None
            return handover.cut_off("connection lost, or no HTTP in answer")
        finally:
            self._under_way.pop(task, None)

    async def _post(self, handover: Handover, message: Message) -> Outcome:
        body = payload(message)
        async with self._connections().stream(
            "POST",
            self._url,
            headers=self._headers(message, body),
            content=body,
            extensions={"trace": _followed_by(handover), "timeout": {"connect": CONNECT_SECONDS}},
        ) as response:
            found = webhook_answer.outcome(response.status, response.headers, now())
            handover.outcome = found
            said = await _first_bytes(response)
        text = f"{message.title} {message.content.decode()}"
        hidden = [*self._hook.confidences, *webhook_answer.telling(text)]
        return webhook_answer.with_words(found, said, hidden)

    def _headers(self, message: Message, body: bytes) -> list[tuple[str, str]]:
        id, timestamp = str(message.notification.id), int(now().timestamp())
        return [
            ("host", self._hook.authority),
            ("user-agent", "Waypost"),
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signature(self._secrets, id, timestamp, body)),
        ]

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=self.places.most,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=self._guard,
            )
        return self._pool

    def cut_short(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """End what was not posted yet; wait a little for the answer to what was."""
        for task in tasks:
            if handover := self._under_way.get(task):
                handover.stop()

    async def close(self) -> None:
        """Let go of the open connections."""
        pool, self._pool = self._pool, None
        with suppress(OSError, *_FAILURES):
            if pool is not None:
                await pool.aclose()


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


def _followed_by(handover: Handover) -> Any:
    """What httpcore tells its progress to. A server that has only the head of a request has no message yet:
    the body's first byte is the last moment to call it off."""
    streams: list[httpcore.AsyncNetworkStream] = []

    async def follow(event: str, info: Mapping[str, Any]) -> None:
        match event:
            case "connection.connect_tcp.complete":
                streams.append(info["return_value"])
            case "connection.start_tls.failed":
                await streams[-1].aclose()  # httpcore forgets it when the handshake is cut off
            case "http11.send_request_headers.started":
                handover.phase = Phase.DATA
            case "http11.send_request_body.started" if not handover.begin():
                raise _CalledOff
            case _:
                pass

    return follow


async def _first_bytes(response: httpcore.Response) -> bytes:
    """The beginning of the answer's body. Whatever becomes of the rest, the status stands."""
    read = b""
    try:
        async with asyncio.timeout(WORDS_SECONDS), aclosing(cast(Any, response.aiter_stream())) as pieces:
            async for piece in pieces:
                read += piece
                if len(read) >= webhook_answer.WORDS_READ:
                    break
    except (TimeoutError, *_FAILURES):
        pass
    return read[: webhook_answer.WORDS_READ]
