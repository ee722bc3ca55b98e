"""The synchronous client, which `make client` derives from async_client.py."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Client:
    """A client of the gateway at `url`, for the application that owns `key`. timeout: seconds for a request;
    deadline: seconds for all tries of one call.

    Every method raises GatewayError: Refused if a retry would be refused again, Unavailable once the deadline
    is over. Threads may share a client.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 10.0, deadline: float = 30.0) -> None:
        self._url = url
        self._patience = Patience(timeout, deadline)
        self._http = httpx.Client(**http.options(url, key))

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the open connections."""
        self._http.close()

    def send(
        self,
        type: str,
        recipient: str | Mapping[str, Any] | BaseModel,
        data: Mapping[str, Any] | BaseModel,
        **options: Unpack[Options],
    ) -> Accepted:
        """Send one notification. It is durable once the call returns. options: as in `Send`."""
        return self._run(
            exchange(
                requests.send(Send(type=type, recipient=recipient, data=data, **options)), self._patience
            )
        )

    def send_many(self, items: Iterable[Send]) -> Sequence[Result]:
        """One result per item, in order; an invalid item does not affect others. Sends 1,000 at once."""
        return self._run(exchanges.send_many(items, self._patience))

    def get(self, id: UUID | str) -> Notification:
        """The state of a notification, its reason, and every attempt."""
        return self._run(exchange(requests.get(id), self._patience))

    def list(self, **query: Unpack[Query]) -> Iterator[Entry]:
        """Notifications, the newest first; pages are requested as they are needed."""
        after: UUID | None = None
        while True:
            page = self._run(exchange(requests.page(query, after), self._patience))
            yield from page.notifications
            if page.next is None:
                return
            after = page.next

    def cancel(self, id: UUID | str) -> Cancelled:
        """Cancel a notification that has not been sent. Cancelling it twice is not an error."""
        return self._run(exchange(requests.cancel(id), self._patience))

    def types(self) -> Sequence[TypeInfo]:
        """Every type that can be sent, with the JSON Schema of its data."""
        return self._run(exchange(requests.types(), self._patience))

    def put_recipient(self, id: str, **fields: Unpack[Fields]) -> KnownRecipient:
        """Replace what is known of a recipient: fields that are left out are deleted."""
        return self._run(exchange(requests.put_recipient(id, fields), self._patience))

    def get_recipient(self, id: str) -> KnownRecipient:
        """What is known of a recipient."""
        return self._run(exchange(requests.get_recipient(id), self._patience))

    def patch_recipient(self, id: str, **fields: Unpack[Fields]) -> KnownRecipient:
        """Change what is known of a recipient: fields that are left out stay, and None deletes a field."""
        return self._run(exchange(requests.patch_recipient(id, fields), self._patience))

    def delete_recipient(self, id: str) -> bool:
        """Forget a recipient. Return whether anything was known."""
        return self._run(exchanges.delete(requests.delete_recipient(id), self._patience))

    def export_recipient(self, id: str) -> Iterator[RecipientExport]:
        """Everything that is kept of a recipient, in pages, which are requested as they are needed: each has
        its profile, what it chose, its suppressions, and some of its notifications, the newest first."""
        after: UUID | None = None
        while True:
            page = self._run(exchange(requests.export_recipient(id, after), self._patience))
            yield page
            if page.next is None:
                return
            after = page.next

    def preferences(self, id: str | None = None) -> dict[str, Preference]:
        """What a recipient chose, by category. id: None for what applies to recipients that chose nothing."""
        return self._run(exchange(requests.preferences(id), self._patience))

    def change_preferences(
        self, id: str | None, choices: Mapping[str, Mapping[str, Any] | None]
    ) -> dict[str, Preference]:
        """Change what a recipient chose, by category: `{"marketing": {"cadence": "never"}}`. Categories that
        are left out stay; None goes back to the default. id: None for recipients that chose nothing. Return
        all that is chosen."""
        return self._run(exchange(requests.change_preferences(id, choices), self._patience))

    def suppressions(self, **query: Unpack[SuppressionQuery]) -> Iterator[Suppression]:
        """Addresses that must not be written to, in their order; pages are requested as they are needed."""
        after: str | None = None
        while True:
            page = self._run(exchange(requests.suppressions(query, after), self._patience))
            yield from page.suppressions
            if page.next is None:
                return
            after = page.next

    def suppress(self, address: str, **fields: Unpack[SuppressionFields]) -> Suppression:
        """Suppress an address: nothing of this client goes there, except mandatory categories."""
        return self._run(exchange(requests.suppress(address, fields), self._patience))

    def lift_suppressions(self, address: str, **which: Unpack[WhichSuppressions]) -> bool:
        """Lift this client's suppressions of an address. Return whether there were any."""
        return self._run(exchanges.delete(requests.lift_suppressions(address, which), self._patience))

    def check_code(self, recipient: str, code: str, type: str | None = None) -> CheckResult:
        """Check a code that was sent to `recipient`, an id or an address. A code works once.
        type: the type that sent it; None for any."""
        return self._run(exchange(requests.check(type, recipient=recipient, code=code), self._patience))

    def check_token(self, token: str, type: str | None = None) -> CheckResult:
        """Check the token of a link that was sent. A token works once. type: the type that sent it; None for
        any."""
        return self._run(exchange(requests.check(type, token=token), self._patience))

    def create_webhook(self, url: str, states: Sequence[str] | None = None) -> WebhookSecret:
        """Have notifications' states posted to `url`. states: None for those that end a notification."""
        return self._run(exchange(requests.create_webhook(url, states), self._patience))

    def webhooks(self) -> Sequence[Webhook]:
        """This client's webhooks, the oldest first."""
        return self._run(exchange(requests.webhooks(), self._patience))

    def rotate_webhook(self, id: UUID | str) -> WebhookSecret:
        """Make a new secret. For a day, events are signed with the old secret too."""
        return self._run(exchange(requests.rotate_webhook(id), self._patience))

    def delete_webhook(self, id: UUID | str) -> bool:
        """Delete a webhook. Return whether it existed."""
        return self._run(exchanges.delete(requests.delete_webhook(id), self._patience))

    def _run(self, steps: Steps[T]) -> T:
        got: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(got)
            except StopIteration as done:
                return done.value
            got = self._do(step)

    def _do(self, step: Attempt | Pause) -> Answer | Lost | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            response = self._http.request(**http.request(step.call, step.timeout))
            return http.answer(response)
        except httpx.RequestError as error:
            return http.lost(error)
