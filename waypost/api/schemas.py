"""The JSON of the gateway's responses, as models for its OpenAPI document and for the client."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel


class _Shape(BaseModel):
    # A newer gateway may send more fields than this version knows.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Accepted(_Shape):
    """A durable notification. state: accepted, held (it waits for a digest) or grouped (counted in an open
    notification, which has this id)."""

    id: UUID
    state: str


class Fault(_Shape):
    """An invalid field."""

    path: str
    reason: str


class Problem(_Shape):
    """RFC 9457 problem details. code: stable. errors: the invalid fields."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] = []


class Result(_Shape):
    """The result of one item of a batch: 202 with id and state, or another status with its error."""

    status: int
    id: UUID | None = None
    state: str | None = None
    error: Problem | None = None


class Results(_Shape):
    """One result for each item, in the order of the items."""

    results: list[Result]


class Attempt(_Shape):
    """One attempt to send. verdict: accepted, refused, deferred or unknown; null while it is in progress.
    said: the provider's reply. template_version: of the templates that rendered its message; null without
    any. rule: what allowed it, such as recipient or mandatory; null for older attempts."""

    number: int
    channel: str
    provider: str
    started_at: datetime | None
    finished_at: datetime | None
    verdict: str | None
    code: int | None
    said: str
    template_version: str | None = None
    rule: str | None = None


class Notification(_Shape):
    """One notification, with its recipient masked. count: the requests grouped into it, itself included."""

    id: UUID
    type: str
    priority: str
    recipient: str
    state: str
    reason: str
    count: int
    accepted_at: datetime
    due_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    attempts: list[Attempt]
    brand: str = "default"


class Entry(_Shape):
    """One notification in a list. attempts: the number of attempts."""

    id: UUID
    type: str
    recipient: str
    state: str
    reason: str
    attempts: int
    provider: str | None
    accepted_at: datetime
    due_at: datetime
    finished_at: datetime | None
    brand: str = "default"


class Page(_Shape):
    """Notifications, the newest first. next: the cursor of the next page, or null."""

    notifications: list[Entry]
    next: UUID | None


class Cancelled(_Shape):
    """A cancelled notification."""

    id: UUID
    state: str


class TypeInfo(_Shape):
    """A notification type. schema: the JSON Schema of its data."""

    type: str
    category: str
    channels: list[str]
    priority: str
    deadline_seconds: int
    schema_: dict[str, JsonValue] = Field(alias="schema")


class Types(_Shape):
    """All types that requests can name."""

    types: list[TypeInfo]


class KnownAddress(_Shape):
    """An address of a recipient. kind: email or phone. main: whether notifications go there. verified_at:
    when it was proved; null for an address that is not verified."""

    address: str
    kind: str
    main: bool
    verified: bool
    verified_at: datetime | None


class KnownRecipient(_Shape):
    """The stored fields of a recipient. addresses: the main ones first, then the others in their order."""

    id: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
    attributes: dict[str, JsonValue] = {}
    addresses: list[KnownAddress] = []
    updated_at: datetime


class Preference(_Shape):
    """What was chosen for a category. cadence: when its notifications are wanted, such as `daily at 09:00`.
    channels: the only kinds of channel that are wanted; null for all. confirmed_at: when the recipient
    confirmed the subscription. evidence: how the recipient chose. chosen_by: api, or another way."""

    cadence: str
    channels: list[str] | None
    confirmed_at: datetime | None
    evidence: str = ""
    chosen_by: str
    updated_at: datetime


class Preferences(RootModel[dict[str, Preference]]):
    """What was chosen, by category. Categories without a choice are left out."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Suppression(_Shape):
    """An address that must not be written to. category: null for all categories. for_all_clients: whether it
    stops the notifications of other clients too; its reason is then empty. expires_at: null for good."""

    address: str
    category: str | None
    cause: str
    for_all_clients: bool
    reason: str
    created_at: datetime | None
    expires_at: datetime | None


class Suppressions(_Shape):
    """Suppressions, by address. next: the cursor of the next page, or null."""

    suppressions: list[Suppression]
    next: str | None


class ExportedAttempt(_Shape):
    """One attempt to send. verdict: null while it is in progress. said: the provider's reply."""

    number: int
    channel: str
    provider: str
    started_at: datetime
    finished_at: datetime | None
    verdict: str | None
    code: int | None
    said: str


class ExportedNotification(_Shape):
    """A notification to a recipient. recipient: what its request said of the recipient. data: its facts, with
    placeholders for sensitive ones; null if the gateway does not know which these are. category: null for a
    type that is gone."""

    id: UUID
    type: str
    category: str | None
    brand: str
    state: str
    reason: str
    count: int
    accepted_at: datetime
    due_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    recipient: dict[str, JsonValue]
    tags: list[str]
    data: dict[str, JsonValue] | None
    attempts: list[ExportedAttempt]


class RecipientExport(_Shape):
    """Everything that is kept of a recipient, and a page of its notifications, the newest first. recipient:
    null if it was forgotten. next: the cursor of the next page, or null."""

    recipient: KnownRecipient | None
    preferences: dict[str, Preference]
    suppressions: list[Suppression]
    notifications: list[ExportedNotification]
    next: UUID | None


class CheckResult(_Shape):
    """result: verified, wrong, ended (five wrong tries, or the message was not delivered), expired, used or
    unknown."""

    result: Literal["verified", "wrong", "ended", "expired", "used", "unknown"]


class Webhook(_Shape):
    """A URL that receives the states of a client's notifications. overlap_until: until then, events are also
    signed with the previous secret. gone_at: when the URL responded 410 Gone; it receives no more events.
    failing_since: the time of the oldest event that could not be delivered; it is retried."""

    id: UUID
    url: str
    states: list[str]
    created_at: datetime
    overlap_until: datetime | None
    gone_at: datetime | None
    failing_since: datetime | None


class WebhookSecret(Webhook):
    """A webhook with its newest secret, whsec_ and base64."""

    secret: str


class Webhooks(_Shape):
    """A client's webhooks, the oldest first."""

    webhooks: list[Webhook]


class Alive(_Shape):
    """The gateway runs."""

    status: Literal["ok"]


class Ready(_Shape):
    """Whether the ledger and Prefect work. detail: if not, what is wrong and what to do."""

    status: Literal["ok", "not ready"]
    ledger: bool
    prefect: bool
    detail: str = ""


class ProblemKind(_Shape):
    """The meaning of an error code: what happened, and what the client should do."""

    code: str
    status: int
    title: str
    meaning: str
    advice: str


ALL: tuple[type[BaseModel], ...] = (
    Accepted, Problem, Results, Notification, Page, Cancelled, Types, KnownRecipient, Preferences,
    RecipientExport, Suppression, Suppressions, CheckResult, Webhook, WebhookSecret, Webhooks,
    Alive, Ready, ProblemKind,
)  # fmt: skip
