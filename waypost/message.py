"""From a notification to the messages that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from waypost.clock import now
from waypost.mail.build import build
from waypost.mail.headers import HeaderError
from waypost.notification import Message, Notification, Rendered
from waypost.notification_type import Facts, NotificationType
from waypost.routes import steps
from waypost.runtime import Runtime
from waypost.templating import TemplateError, Words, render
from waypost.wording import in_words


def render_one(
    runtime: Runtime,
    type: NotificationType,
    notification: Notification,
    private: Mapping[str, Any] = {},
) -> Rendered:
    """The messages of one notification, or why there are none. Never raises for its content.

    private: values for the templates that are in no facts (a code, a link).
    """
    person = notification.recipient
    reached = {kind: address for kind in type.route if (address := person.address(kind))}
    if not reached:
        return Rendered(notification, error=f"the recipient has no address for {_either(type.route)}")
    served = {kind for kind, _ in steps(type.route, runtime.channels)}
    wanted = {kind: address for kind, address in reached.items() if kind in served}
    try:
        facts = type.facts.model_validate(notification.data)
        found = runtime.templates.find(type.name, person.locale)
        context = _context(runtime, notification, facts, private)
        words = render(found, context, mail="email" in wanted, short=bool(wanted.keys() - {"email"}))
        messages = {
            kind: _message(runtime, notification, kind, address, words) for kind, address in wanted.items()
        }
    except ValidationError as error:
        return Rendered(notification, error=f"its facts no longer fit the type: {explain(error)}")
    except (TemplateError, HeaderError) as error:
        return Rendered(notification, error=str(error))
    return Rendered(notification, messages)


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


def _message(runtime: Runtime, notification: Notification, kind: str, address: str, words: Words) -> Message:
    if kind == "email":
        content = build(
            id=notification.id,
            sender=runtime.sender,
            to=address,
            to_name=notification.recipient.name,
            subject=words.subject,
            plain=words.plain,
            html=words.html,
            date=now(),
        )
    else:
        content = words.short.encode()
    return Message(notification, kind, address, words.subject, content)


def explain(error: ValidationError) -> str:
    """`data.lines.0.quantity: not more than 0; ...`, without any of the input."""
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
