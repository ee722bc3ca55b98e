"""A request once accepted, and the messages made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from waypost import policy
from waypost.clock import now
from waypost.outcome import Outcome
from waypost.priority import Priority
from waypost.states import State

# What a kind of channel reaches a recipient by. The others need only a name: chat, push and webhooks have
# their target in the provider's URL.
ADDRESSED_BY = {"email": "email", "sms": "phone"}


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient as the ledger knows them."""

    key: str
    email: str | None
    phone: str | None
    name: str
    locale: str
    timezone: str

    def address(self, channel: str) -> str | None:
        """Where `channel` reaches them: mail wants an address, SMS a phone, the rest only a name."""
        return getattr(self, ADDRESSED_BY.get(channel, "key"))


@dataclass(frozen=True, slots=True)
class Notification:
    """One claimed ledger row with its recipient.

    priority: its lane. count: how many requests were grouped into it. tries: attempts already made.
    step: which step of its route comes next (0 is the first). in_doubt: attempts whose answer
    nobody knows. channels: the kinds of its type's route that it may take, where its request chose some.
    """

    id: UUID
    type: str
    priority: Priority
    recipient: Person
    data: dict[str, Any]
    count: int
    accepted_at: datetime
    expires_at: datetime
    step: int = 0
    tries: int = 0
    in_doubt: int = 0
    channels: list[str] | None = None

    @property
    def expired(self) -> bool:
        """Whether it is too late to send it."""
        return policy.expired(self.expires_at, now())


@dataclass(frozen=True, slots=True)
class Message:
    """A notification rendered for one kind of channel.

    content: the wire format of a mail, or the UTF-8 text of a short message. private: what was minted for it
    (a code, a link, a token) and no provider's words may repeat. Both are kept out of every repr.
    """

    notification: Notification
    channel: str
    address: str
    title: str = field(repr=False)
    content: bytes = field(repr=False)
    private: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification with every message its route may need, or the reason there is none."""

    notification: Notification
    messages: dict[str, Message] = field(default_factory=dict[str, Message], repr=False)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where one notification stands in a run: its state, why, and how it came to it.

    `refused` marks a definite no by the step just tried, so that the next step may be taken. `said`
    is what each provider of this run answered that did not take it. `last_no` is the step after the last
    that refused the message itself, in this run: a provider before it is not asked again.
    """

    rendered: Rendered
    state: State
    reason: str = ""
    provider: str = ""
    outcome: Outcome | None = None
    step: int = 0
    refused: bool = False
    said: tuple[str, ...] = ()
    last_no: int | None = None

    @property
    def notification(self) -> Notification:
        return self.rendered.notification


class Answer(StrEnum):
    """What became of a request."""

    ACCEPTED = "accepted"  # a notification of its own
    REPEATED = "repeated"  # the same idempotency key and body as before
    GROUPED = "grouped"  # counted in an open notification
    CONFLICT = "conflict"  # the same idempotency key with another body: refused
    REFUSED = "refused"  # no channel reaches its recipient: the reason begins with the field that is missing


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one request, in the order of the requests. id: of the notification it became, or
    that was there before it. state: where that is, when it is known. began: what the first answer to the
    request said: accepted, held or grouped."""

    outcome: Answer
    id: UUID
    state: State | None = None
    reason: str = ""
    began: str = "accepted"
