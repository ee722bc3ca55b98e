"""From a notification to the messages that carry it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from waypost.clock import now
from waypost.isolation import isolated
from waypost.mail.attachment import Attachment, AttachmentError
from waypost.mail.build import NOTHING_MORE, Extras, build
from waypost.mail.dkim import signed
from waypost.mail.finished import MailError, parse
from waypost.mail.headers import HeaderError
from waypost.mail.passing_on import passed_on
from waypost.mail.senders import NOT_ALLOWED, Senders
from waypost.notification import Message, Notification, Rendered
from waypost.notification_type import Facts, NotificationType
from waypost.routes import steps
from waypost.runtime import Runtime
from waypost.templating import TemplateError, Words, render, render_line
from waypost.wording import in_words


def render_one(
    runtime: Runtime,
    type: NotificationType,
    notification: Notification,
    private: Mapping[str, Any] = {},
    files: Sequence[Attachment] = (),
) -> Rendered:
    """The messages of one notification, or why there are none. Raises ItemFailed.

    private: values for the templates that are in no facts (a code, a link); its texts are kept out of what
    providers say. files: that go with the mail.
    """
    person = notification.recipient
    kinds = type.kinds_of(notification.channels)
    reached = {kind: address for kind in kinds if (address := person.address(kind))}
    if not reached:
        return Rendered(notification, error=f"the recipient has no address for {_either(kinds)}")
    served = {kind for kind, _ in steps(type.route, runtime.channels)}
    wanted = {kind: address for kind, address in reached.items() if kind in served}
    try:
        with isolated("reading its facts", ValidationError, item=notification.id):
            facts = type.facts.model_validate(notification.data)
        if type.finished is not None:
            mail = _passed_on(runtime, notification, reached["email"], type.finished(facts))
            return Rendered(notification, {"email": mail} if "email" in wanted else {})
        found = runtime.templates.find(type.name, person.locale)
        context = _context(runtime, notification, facts, private)
        words = render(found, context, mail="email" in wanted, short=bool(wanted.keys() - {"email"}))
        extras = _extras(runtime, type, context, files) if "email" in wanted else NOTHING_MORE
        minted = tuple(value for value in private.values() if isinstance(value, str))
        messages = {
            kind: _message(runtime, notification, kind, address, words, extras, minted)
            for kind, address in wanted.items()
        }
    except ValidationError as error:
        return Rendered(notification, error=f"its facts no longer fit the type: {explain(error)}")
    except (TemplateError, HeaderError, AttachmentError, MailError) as error:
        return Rendered(notification, error=str(error))
    return Rendered(notification, messages)


# Beside the type's facts and what is minted; the attributes of those that have some.
IN_EVERY_TEMPLATE: Mapping[str, Collection[str] | None] = {
    "count": None,
    "recipient": ("name", "locale", "timezone"),
    "sender": ("name", "signature"),
}


def _context(
    runtime: Runtime, notification: Notification, facts: Facts, private: Mapping[str, Any]
) -> dict[str, Any]:
    person = notification.recipient
    return {
        **facts.model_dump(),
        **private,
        "count": notification.count,
        "recipient": {"name": person.name, "locale": person.locale, "timezone": person.timezone},
        "sender": {
            "name": runtime.sender.display or runtime.sender.address,
            "signature": runtime.settings.signature,
        },
    }


def _extras(
    runtime: Runtime, type: NotificationType, context: Mapping[str, Any], files: Sequence[Attachment]
) -> Extras:
    if not (type.reply_to or type.list_unsubscribe or files):
        return NOTHING_MORE
    reply_to, unsubscribe = (
        render_line(part, runtime.templates.line(source), context)
        for part, source in (("reply_to", type.reply_to), ("list_unsubscribe", type.list_unsubscribe))
    )
    return Extras(reply_to, unsubscribe, type.one_click and bool(unsubscribe), files)


def _message(
    runtime: Runtime,
    notification: Notification,
    kind: str,
    address: str,
    words: Words,
    extras: Extras,
    private: tuple[str, ...],
) -> Message:
    mail = kind == "email"
    with isolated("encoding", HeaderError, AttachmentError, item=notification.id):
        content = _mail(runtime, notification, address, words, extras) if mail else words.short.encode()
    return Message(notification, kind, address, words.subject, content, private)


def _mail(runtime: Runtime, notification: Notification, address: str, words: Words, extras: Extras) -> bytes:
    """The wire format, signed."""
    date = now()
    content = build(
        id=notification.id,
        sender=runtime.sender,
        to=address,
        to_name=notification.recipient.name,
        subject=words.subject,
        plain=words.plain,
        html=words.html,
        date=date,
        extras=extras,
    )
    return _signed(runtime, notification, content, date)


def _passed_on(runtime: Runtime, notification: Notification, address: str, finished: bytes) -> Message:
    """A mail that its author finished. Raises MailError, also for an author the settings do not allow, as
    they are now."""
    mail = parse(finished)
    if not Senders.of(runtime.settings).allow(mail.authors):
        raise MailError(NOT_ALLOWED)
    content = passed_on(mail, notification.id, runtime.sender, notification.accepted_at)
    wire = _signed(runtime, notification, content, now())
    return Message(notification, "email", address, mail.subject, wire)


def _signed(runtime: Runtime, notification: Notification, content: bytes, date: datetime) -> bytes:
    with isolated("signing", item=notification.id):
        return signed(content, runtime.signers, date)


def explain(error: ValidationError) -> str:
    """`data.lines.0.quantity: has to be more than 0; ...`, without any of the input."""
    return "; ".join(
        f"{_place(part['loc'])}: {in_words(part)}"
        for part in error.errors(include_input=False, include_url=False)[:5]
    )


def _place(where: tuple[int | str, ...]) -> str:
    """Where in a request, fit for a terminal: a field nobody knows may be called anything."""
    named = ".".join(str(part) for part in where)[:100]
    return "".join(letter if letter.isprintable() else "?" for letter in named) or "request"


def _either(route: tuple[str, ...]) -> str:
    return " or ".join(route)
