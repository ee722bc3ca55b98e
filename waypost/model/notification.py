"""A request once accepted, and the messages made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from waypost.model.outcome import Outcome
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.system.clock import now

# What a kind of channel reaches a recipient by. The others need only a name: chat, push and webhooks have
# their target in the provider's URL.
ADDRESSED_BY = {"email": "email", "sms": "phone"}


@dataclass(frozen=True, slots=True)
class ResolvedRecipient:
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
    recipient: ResolvedRecipient
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
        return now() >= self.expires_at


@dataclass(frozen=True, slots=True)
class Message:
    """A notification rendered for one kind of channel.

    content: the wire format of a mail, or the UTF-8 text of a short message. private: what was minted for it
    (a code, a link, a token) and no provider's words may repeat. Both are kept out of every repr. composed:
    whether it is a mail that its author composed, so that nobody has named what is private in it.
    """

    notification: Notification
    channel: str
    address: str
    title: str = field(repr=False)
    content: bytes = field(repr=False)
    private: tuple[str, ...] = field(default=(), repr=False)
    composed: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification with every message its route may need, or the reason there is none: an error that ends
    it, or why it is put off to a later run."""

    notification: Notification
    messages: dict[str, Message] = field(default_factory=dict[str, Message], repr=False)
    error: str | None = None
    deferred_until: str | None = None


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
    rejections: tuple[str, ...] = ()
    last_no: int | None = None

    @property
    def notification(self) -> Notification:
        return self.rendered.notification


@dataclass(frozen=True, slots=True)
class HeldItem:
    """One notification waiting for a digest."""

    id: UUID
    data: dict[str, Any]
    count: int
    accepted_at: datetime
