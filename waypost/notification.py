"""A request once accepted, and the messages made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from waypost.notification_type import Facts
from waypost.outcome import Outcome
from waypost.states import State


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
        match channel:
            case "email":
                return self.email
            case "sms":
                return self.phone
            case _:
                return self.key


@dataclass(frozen=True, slots=True)
class Notification:
    """One claimed ledger row with its recipient.

    count: how many requests were grouped into it. tries: attempts already made.
    step: which step of its route comes next (0 is the first). in_doubt: attempts whose answer
    nobody knows.
    """

    id: UUID
    type: str
    recipient: Person
    data: dict[str, Any]
    count: int
    accepted_at: datetime
    expires_at: datetime
    step: int = 0
    tries: int = 0
    in_doubt: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A notification rendered for one kind of channel.

    `content` is the wire format of a mail, or the UTF-8 text of a short message. It is kept out of
    every repr: it may hold a code.
    """

    notification: Notification
    channel: str
    address: str
    title: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification with every message its route may need, or the reason there is none."""

    notification: Notification
    messages: dict[str, Message] = field(default_factory=dict[str, Message], repr=False)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where one notification stands in a run: its state, why, and how it came to it.

    `refused` marks a definite no by the step just tried, so that the next step may be taken.
    """

    rendered: Rendered
    state: State
    reason: str = ""
    provider: str = ""
    outcome: Outcome | None = None
    step: int = 0
    refused: bool = False

    @property
    def notification(self) -> Notification:
        return self.rendered.notification


# What `accept` answers is here too, beside what it accepts into.
@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one request, in the order of the requests.

    outcome: "accepted", "repeated" (same idempotency key and body as before), "grouped" (counted
    in an open notification), "conflict" (same key, other body) or "invalid". id: of the
    notification it became or already was; none for the last two, which say why in `reason`.
    """

    outcome: str
    id: UUID | None
    state: State | None = None
    reason: str = ""


# Facts are validated again when a row is claimed; a row that no longer fits its type fails alone.
def facts_of(facts: type[Facts], notification: Notification) -> Facts:
    """The typed facts of a row. Raises pydantic.ValidationError without repeating the input."""
    return facts.model_validate(notification.data)
