"""An accepted request, and the messages made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from waypost.model.brand import DEFAULT
from waypost.model.outcome import Outcome
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.system.clock import now

# The recipient's field that a kind of channel needs. Other kinds need only the key: chat, push and webhooks
# have their target in the provider's URL.
ADDRESSED_BY = {"email": "email", "sms": "phone"}


@dataclass(frozen=True, slots=True)
class ResolvedRecipient:
    """A recipient as the ledger knows them. attributes: values of the application's own."""

    key: str
    email: str | None
    phone: str | None
    name: str
    locale: str
    timezone: str
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def address(self, channel: str) -> str | None:
        """Where `channel` reaches the recipient: the email address, the phone number, or else the key."""
        return getattr(self, ADDRESSED_BY.get(channel, "key"))


@dataclass(frozen=True, slots=True)
class Notification:
    """One claimed ledger row with its recipient.

    priority: its lane. count: how many requests were grouped into it. tries: attempts already made.
    step: which step of its route comes next (0 is the first). in_doubt: attempts whose outcome is unknown.
    channels: the kinds of its type's route that its request chose; None for all. client: the client whose API
    key it came with; empty without one. brand: the name of the brand whose mail it is. rule: what allowed it
    (policy/precedence.py); empty if nothing was asked. link_generation: its recipient's; it grows when the
    links in their mails are revoked. soft_bounced: whether its mail server did not take others of late.
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
    client: str = ""
    brand: str = DEFAULT
    rule: str = ""
    link_generation: int = 0
    soft_bounced: bool = False

    @property
    def expired(self) -> bool:
        """Whether it is too late to send the notification."""
        return now() >= self.expires_at


@dataclass(frozen=True, slots=True)
class Message:
    """A notification rendered for one kind of channel.

    content: the wire format of a mail, or the UTF-8 text of a short message. private: values minted for it (a
    code, a link, a token) and its sensitive facts, which are removed from providers' replies. Both are
    kept out of every repr. composed: whether an author composed the mail, so that its private values are not
    known. sender: the envelope's; empty for the provider's own.
    """

    notification: Notification
    channel: str
    address: str
    title: str = field(repr=False)
    content: bytes = field(repr=False)
    private: tuple[str, ...] = field(default=(), repr=False)
    composed: bool = False
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification with every message its route may need, or the reason why there is none: an error that
    ends the notification, or why it is deferred to a later run. template_version: of its type's templates in
    its language; None if they were not used."""

    notification: Notification
    messages: dict[str, Message] = field(default_factory=dict[str, Message], repr=False)
    error: str | None = None
    deferred_until: str | None = None
    template_version: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where one notification stands in a run: its state, the reason, and the outcome that led to it.

    attempt: the number of its last attempt; 0 before the first. due: when a deferred notification is tried
    again. refused: the step just tried refused it for certain, so
    the next step may be taken. rejections: why each provider of this run did not take it. last_no: the step
    after the last provider that refused the message itself in this run; earlier providers are not tried
    again.
    """

    rendered: Rendered
    state: State
    reason: str = ""
    attempt: int = 0
    due: datetime | None = None
    provider: str = ""
    outcome: Outcome | None = None
    step: int = 0
    refused: bool = False
    rejections: tuple[str, ...] = ()
    last_no: int | None = None

    @classmethod
    def begun(cls, rendered: Rendered) -> Delivery:
        """A message that its run has not offered yet. It keeps its step, also if the run can offer it to no
        provider: a provider that refused it for certain is not asked again."""
        return cls(rendered, State.CLAIMED, step=rendered.notification.step)

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
