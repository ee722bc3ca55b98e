"""The asynchronous client, with the methods of `Client`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, Unpack
from uuid import UUID

import httpx
from pydantic import BaseModel

from waypost.api.schemas import (
    Accepted,
    Cancelled,
    CheckResult,
    Entry,
    KnownRecipient,
    Notification,
    Preference,
    RecipientExport,
    Result,
    Suppression,
    TypeInfo,
    Webhook,
    WebhookSecret,
)
from waypost.client import http, requests
from waypost.client import retry_loop as exchanges
from waypost.client.options import (
    Fields,
    Options,
    Query,
    SuppressionFields,
    SuppressionQuery,
    WhichSuppressions,
)
from waypost.client.retry_loop import Attempt, Patience, Pause, Steps, exchange
from waypost.client.retry_policy import Answer, Lost
from waypost.client.send import Send

T = TypeVar("T")


class AsyncClient:
    """A client of the gateway at `url`, for the application that owns `key`. timeout: seconds for a request;
    deadline: seconds for all tries of one call.

    Every method raises GatewayError: Refused if a retry would be refused again, Unavailable once the deadline
    is over. Tasks may share a client.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 10.0, deadline: float = 30.0) -> None:
        self._url = url
        self._patience = Patience(timeout, deadline)
        self._http = httpx.AsyncClient(**http.options(url, key))

    def __repr__(self) -> str:
        return f"AsyncClient({self._url!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the open connections."""
        await self._http.aclose()

    async def send(
        self,
        type: str,
        recipient: str | Mapping[str, Any] | BaseModel,
        data: Mapping[str, Any] | BaseModel,
        **options: Unpack[Options],
    ) -> Accepted:
        """Send one notification. It is durable once the call returns. options: as in `Send`."""
        return await self._run(
            exchange(
                requests.send(Send(type=type, recipient=recipient, data=data, **options)), self._patience
            )
        )

    async def send_many(self, items: Iterable[Send]) -> Sequence[Result]:
        """One result per item, in order; an invalid item does not affect others. Sends 1,000 at once."""
        return await self._run(exchanges.send_many(items, self._patience))

    async def get(self, id: UUID | str) -> Notification:
        """The state of a notification, its reason, and every attempt."""
        return await self._run(exchange(requests.get(id), self._patience))

    async def list(self, **query: Unpack[Query]) -> AsyncIterator[Entry]:
        """Notifications, the newest first; pages are requested as they are needed."""
        after: UUID | None = None
        while True:
            page = await self._run(exchange(requests.page(query, after), self._patience))
            for one in page.notifications:
                yield one
            if page.next is None:
                return
            after = page.next

    async def cancel(self, id: UUID | str) -> Cancelled:
        """Cancel a notification that has not been sent. Cancelling it twice is not an error."""
        return await self._run(exchange(requests.cancel(id), self._patience))

    async def types(self) -> Sequence[TypeInfo]:
        """Every type that can be sent, with the JSON Schema of its data."""
        return await self._run(exchange(requests.types(), self._patience))

    async def put_recipient(self, id: str, **fields: Unpack[Fields]) -> KnownRecipient:
        """Replace what is known of a recipient: fields that are left out are deleted."""
        return await self._run(exchange(requests.put_recipient(id, fields), self._patience))

    async def get_recipient(self, id: str) -> KnownRecipient:
        """What is known of a recipient."""
        return await self._run(exchange(requests.get_recipient(id), self._patience))

    async def patch_recipient(self, id: str, **fields: Unpack[Fields]) -> KnownRecipient:
        """Change what is known of a recipient: fields that are left out stay, and None deletes a field."""
        return await self._run(exchange(requests.patch_recipient(id, fields), self._patience))

    async def delete_recipient(self, id: str) -> bool:
        """Forget a recipient. Return whether anything was known."""
        return await self._run(exchanges.delete(requests.delete_recipient(id), self._patience))

    async def export_recipient(self, id: str) -> AsyncIterator[RecipientExport]:
        """Everything that is kept of a recipient, in pages, which are requested as they are needed: each has
        its profile, what it chose, its suppressions, and some of its notifications, the newest first."""
        after: UUID | None = None
        while True:
            page = await self._run(exchange(requests.export_recipient(id, after), self._patience))
            yield page
            if page.next is None:
                return
            after = page.next

    async def preferences(self, id: str | None = None) -> dict[str, Preference]:
        """What a recipient chose, by category. id: None for what applies to recipients that chose nothing."""
        return await self._run(exchange(requests.preferences(id), self._patience))

    async def change_preferences(
        self, id: str | None, choices: Mapping[str, Mapping[str, Any] | None]
    ) -> dict[str, Preference]:
        """Change what a recipient chose, by category: `{"marketing": {"cadence": "never"}}`. Categories that
        are left out stay; None goes back to the default. id: None for recipients that chose nothing. Return
        all that is chosen."""
        return await self._run(exchange(requests.change_preferences(id, choices), self._patience))

    async def suppressions(self, **query: Unpack[SuppressionQuery]) -> AsyncIterator[Suppression]:
        """Addresses that must not be written to, in their order; pages are requested as they are needed."""
        after: str | None = None
        while True:
            page = await self._run(exchange(requests.suppressions(query, after), self._patience))
            for one in page.suppressions:
                yield one
            if page.next is None:
                return
            after = page.next

    async def suppress(self, address: str, **fields: Unpack[SuppressionFields]) -> Suppression:
        """Suppress an address: nothing of this client goes there, except mandatory categories."""
        return await self._run(exchange(requests.suppress(address, fields), self._patience))

    async def lift_suppressions(self, address: str, **which: Unpack[WhichSuppressions]) -> bool:
        """Lift this client's suppressions of an address. Return whether there were any."""
        return await self._run(exchanges.delete(requests.lift_suppressions(address, which), self._patience))

    async def check_code(self, recipient: str, code: str, type: str | None = None) -> CheckResult:
        """Check a code that was sent to `recipient`, an id or an address. A code works once.
        type: the type that sent it; None for any."""
        return await self._run(exchange(requests.check(type, recipient=recipient, code=code), self._patience))

    async def check_token(self, token: str, type: str | None = None) -> CheckResult:
        """Check the token of a link that was sent. A token works once. type: the type that sent it; None for
        any."""
        return await self._run(exchange(requests.check(type, token=token), self._patience))

    async def create_webhook(self, url: str, states: Sequence[str] | None = None) -> WebhookSecret:
        """Have notifications' states posted to `url`. states: None for those that end a notification."""
        return await self._run(exchange(requests.create_webhook(url, states), self._patience))

    async def webhooks(self) -> Sequence[Webhook]:
        """This client's webhooks, the oldest first."""
        return await self._run(exchange(requests.webhooks(), self._patience))

    async def rotate_webhook(self, id: UUID | str) -> WebhookSecret:
        """Make a new secret. For a day, events are signed with the old secret too."""
        return await self._run(exchange(requests.rotate_webhook(id), self._patience))

    async def delete_webhook(self, id: UUID | str) -> bool:
        """Delete a webhook. Return whether it existed."""
        return await self._run(exchanges.delete(requests.delete_webhook(id), self._patience))

    async def _run(self, steps: Steps[T]) -> T:
        got: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(got)
            except StopIteration as done:
                return done.value
            got = await self._do(step)

    async def _do(self, step: Attempt | Pause) -> Answer | Lost | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            response = await self._http.request(**http.request(step.call, step.timeout))
            return http.answer(response)
        except httpx.RequestError as error:
            return http.lost(error)
