"""Models of the gateway's JSON responses, for its OpenAPI document and the client."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class _Shape(BaseModel):
    # A newer gateway may return fields that this version does not know.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Accepted(_Shape):
    """A notification that is durable now. state: accepted, held (it waits for a digest) or grouped (counted
    in an open notification, whose id it is)."""

    id: UUID
    state: str


class Fault(_Shape):
    """One field that is wrong."""

    path: str
    reason: str


class Problem(_Shape):
    """RFC 9457 problem details. code: stable; errors: the fields that are wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] = []


class Result(_Shape):
    """What became of one item of a batch: 202 with id and state, or another status with its error."""

    status: int
    id: UUID | None = None
    state: str | None = None
    error: Problem | None = None


class Results(_Shape):
    """One result per item, in the order of the items."""

    results: list[Result]


class Attempt(_Shape):
    """One attempt. verdict: accepted, refused, deferred or unknown; null while it is being made."""

    number: int
    channel: str
    provider: str
    started_at: datetime | None
    finished_at: datetime | None
    verdict: str | None
    code: int | None
    said: str


class Notification(_Shape):
    """One notification, its recipient masked."""

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


class Entry(_Shape):
    """One notification in a list. attempts: how many were made."""

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


class Page(_Shape):
    """Notifications, the newest first. next: the cursor for more, or null."""

    notifications: list[Entry]
    next: UUID | None


class Cancelled(_Shape):
    """A notification that was withdrawn."""

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
    """Every type that can be sent."""

    types: list[TypeInfo]


class KnownRecipient(_Shape):
    """What is known of a recipient."""

    id: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
    updated_at: datetime


class CheckResult(_Shape):
    """result: verified, wrong, ended (five wrong tries, or its message was not delivered), expired, used or
    unknown."""

    result: Literal["verified", "wrong", "ended", "expired", "used", "unknown"]


class Webhook(_Shape):
    """Where events about a client's notifications are posted. overlap_until: until when events are signed
    with the previous secret too. gone_at: when it returned 410 Gone; it gets no more events. failing_since:
    the time of the oldest event whose delivery failed and is retried."""

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
    """The gateway responds."""

    status: Literal["ok"]


class Ready(_Shape):
    """Whether each service that the gateway needs works. detail: if not, what is wrong and what to do."""

    status: Literal["ok", "not ready"]
    ledger: bool
    prefect: bool
    detail: str = ""


class ProblemKind(_Shape):
    """What an error's code means."""

    code: str
    status: int
    title: str


ALL: tuple[type[BaseModel], ...] = (
    Accepted, Problem, Results, Notification, Page, Cancelled, Types, KnownRecipient, CheckResult, Webhook,
    WebhookSecret, Webhooks, Alive, Ready, ProblemKind,
)  # fmt: skip
