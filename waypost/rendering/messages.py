"""Renders a notification to the messages that carry it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from waypost.mail.allowed_senders import NOT_ALLOWED, Senders
from waypost.mail.attachment import Attachment, AttachmentError
from waypost.mail.build import NOTHING_MORE, Extras, Sender, build
from waypost.mail.dkim import Signer, signed
from waypost.mail.headers import HeaderError, parse_mailbox
from waypost.mail.raw_message import MailError, parse
from waypost.mail.relay import passed_on
from waypost.model.brand import Brand
from waypost.model.category import Category
from waypost.model.facts import Facts
from waypost.model.mail_links import NO_LINKS, MailLinks, shown_links
from waypost.model.notification import Message, Notification, Rendered
from waypost.model.notification_type import NotificationType
from waypost.model.sensitive_values import sensitive_values, without_sensitive
from waypost.model.validation_messages import explain, has_only_unknown_fields
from waypost.policy.redaction.minted_texts import NoText, texts_of
from waypost.policy.redaction.redact import Redaction
from waypost.rendering.live_templates import Templates
from waypost.rendering.sms_segments import excess
from waypost.rendering.template_files import TemplateError
from waypost.rendering.template_names import IN_EVERY_TEMPLATE
from waypost.rendering.template_set import TemplateSet, Words, render, render_line
from waypost.system.clock import now
from waypost.system.isolation import isolated

NOT_CONFIRMABLE = (
    "it has no link to confirm: set WAYPOST_PUBLIC_URL, and name a category that is not mandatory"
)


@dataclass(frozen=True)
class Renderer:
    """What the messages of one type and brand are rendered with. reply_to: for types without their own, or
    empty. senders: those allowed in mails that their author composed. served: the kinds of the type's route
    that have a provider. covered: whether placeholders stand for sensitive facts, in texts that are compared
    and not sent. optional: the categories that recipients may turn off, for mails that are shown and not
    sent."""

    templates: Templates
    sender: Sender
    signature: str
    reply_to: str
    signers: Sequence[Signer]
    senders: Senders
    served: Collection[str]
    brand: Brand
    covered: bool = False
    optional: Collection[Category] = ()

    @cached_property
    def shared_context(self) -> dict[str, Any]:
        """The template values that all of its messages share."""
        return {
            "sender": {
                "name": self.sender.display or self.sender.address,
                "signature": self.signature,
                "support": parse_mailbox(self.reply_to, "Reply-To")[1] if self.reply_to else "",
            },
            "brand": {name: getattr(self.brand, name) for name in IN_EVERY_TEMPLATE["brand"] or ()},
        }


def render_one(
    renderer: Renderer,
    type: NotificationType,
    notification: Notification,
    private: Mapping[str, Any] = {},
    files: Sequence[Attachment] = (),
    links: MailLinks = NO_LINKS,
    words: Words | None = None,
) -> Rendered:
    """The messages of one notification, or why there are none. Raises ItemFailed.

    private: template values that are not facts (a code, a link); their texts are removed from the replies of
    providers, as are those of sensitive facts and of `links`. files: the mail's attachments. links: by which
    the recipient chooses what they receive. words: its texts, if they are rendered already.
    """
    person = notification.recipient
    secrets: tuple[str, ...] = ()
    kinds = type.kinds_of(notification.channels)
    reached = {kind: address for kind in kinds if (address := person.address(kind))}
    if not reached:
        return Rendered(notification, error=f"the recipient has no address for {_either(kinds)}")
    if type.confirms and not links.confirm:
        return Rendered(notification, error=NOT_CONFIRMABLE)
    wanted = {kind: address for kind, address in reached.items() if kind in renderer.served}
    try:
        with isolated("reading its facts", ValidationError, item=notification.id):
            facts = _facts(renderer, type, notification)
        # With a token, an operator who reads a provider's reply could unsubscribe.
        secrets = texts_of({**sensitive_values(facts), **private, **links.tokens})
        if type.finished is not None:
            mail = _passed_on(renderer, notification, reached["email"], type.finished(facts))
            return Rendered(notification, {"email": mail} if "email" in wanted else {})
        found = renderer.templates.find(type.name, person.locale)
        context = _context(renderer, notification, facts, private, links)
        extras = NOTHING_MORE
        if "email" in wanted:
            extras, context = _extras(renderer, type, context, files, links)
        words = words or render(found, context, mail="email" in wanted, short=bool(wanted.keys() - {"email"}))
        if "sms" in wanted and (said := too_long(type, found, words.short)):
            raise TemplateError(said)
        messages = {
            kind: _message(renderer, notification, kind, address, words, extras, secrets)
            for kind, address in wanted.items()
        }
    except ValidationError as error:
        return _misfit(notification, error)
    except NoText as error:
        return Rendered(notification, error=f"a secret of it could not be removed from replies: {error}")
    except (TemplateError, HeaderError, AttachmentError, MailError) as error:
        # Jinja's error about a missing key repeats the key, which may be a secret.
        return Rendered(notification, error=Redaction(secrets)(str(error)))
    return Rendered(notification, messages, template_version=found.version)


def _misfit(notification: Notification, error: ValidationError) -> Rendered:
    """A fact that the type lacks may be new: a gateway with a newer version of the type has accepted it. The
    notification then waits for a worker that has this version too. Any other misfit ends it."""
    why = f"its facts no longer fit the type: {explain(error)}"
    if has_only_unknown_fields(error):
        newer = "if a newer version of the type has that, restart this worker"
        return Rendered(notification, deferred_until=f"{why}; {newer}")
    return Rendered(notification, error=why)


def too_long(type: NotificationType, found: TemplateSet, short: str) -> str:
    """The fault of an SMS that takes more segments than its type allows; empty for any other."""
    if not type.sms_segments or not (said := excess(short, type.sms_segments)):
        return ""
    advice = f"shorten the text, or raise sms_segments of {type.name}"
    return f"{found.short.display}: the SMS takes {said}; {advice}"


def words_of(
    renderer: Renderer,
    type: NotificationType,
    notification: Notification,
    private: Mapping[str, Any],
    *,
    mail: bool = True,
) -> Words:
    """Every text of a notification, whatever addresses its recipient has; without `mail`, its subject and
    short text. Raises TemplateError, ValidationError, ItemFailed."""
    with isolated("reading its facts", ValidationError, item=notification.id):
        facts = _facts(renderer, type, notification)
    found = renderer.templates.find(type.name, notification.recipient.locale)
    context = _context(renderer, notification, facts, private, shown_links(type, renderer.optional))
    return render(found, _unsubscribing(renderer, type, context)[0], mail=mail)


def _facts(renderer: Renderer, type: NotificationType, notification: Notification) -> Facts:
    facts = type.facts.model_validate(notification.data)
    return without_sensitive(facts) if renderer.covered else facts


def _context(
    renderer: Renderer,
    notification: Notification,
    facts: Facts,
    private: Mapping[str, Any],
    links: MailLinks = NO_LINKS,
) -> dict[str, Any]:
    person = notification.recipient
    return {
        **facts.model_dump(),
        **private,
        "count": notification.count,
        "recipient": {
            "name": person.name,
            "locale": person.locale,
            "timezone": person.timezone,
            "attributes": person.attributes,
        },
        "links": links.by_name,
        **renderer.shared_context,
    }


def _extras(
    renderer: Renderer,
    type: NotificationType,
    context: dict[str, Any],
    files: Sequence[Attachment],
    links: MailLinks,
) -> tuple[Extras, dict[str, Any]]:
    """The mail's headers and files, and the context of its templates."""
    if not (type.reply_to or renderer.reply_to or type.list_unsubscribe or files or links.unsubscribe):
        return NOTHING_MORE, context
    reply_to = (
        render_line("reply_to", renderer.templates.line(type.reply_to), context) if type.reply_to else ""
    )
    context, unsubscribe = _unsubscribing(renderer, type, context)
    one_click = type.one_click and bool(unsubscribe)
    if links.unsubscribe and not _page(unsubscribe):
        ours = dict.fromkeys(filter(None, (links.unsubscribe, links.unsubscribe_by_mail)))
        unsubscribe = " ".join((*ours, unsubscribe)).strip()
        one_click = links.unsubscribe.startswith("https://")  # RFC 8058, section 3.1: nothing else
    return Extras(reply_to or renderer.reply_to, unsubscribe, one_click, files), context


def _unsubscribing(
    renderer: Renderer, type: NotificationType, context: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """The context of the templates, and the addresses of the type's own List-Unsubscribe. If a page is among
    them, it is `links.unsubscribe`: a mail has a single such link."""
    if not type.list_unsubscribe:
        return context, ""
    found = render_line("list_unsubscribe", renderer.templates.line(type.list_unsubscribe), context)
    if page := _page(found):
        context = {**context, "links": {**context["links"], "unsubscribe": page}}
    return context, found


def _page(addresses: str) -> str:
    """The first https address among `addresses`; empty without."""
    return next((one for one in addresses.split() if one.startswith("https://")), "")


def _message(
    renderer: Renderer,
    notification: Notification,
    kind: str,
    address: str,
    words: Words,
    extras: Extras,
    private: tuple[str, ...],
) -> Message:
    mail = kind == "email"
    with isolated("encoding", HeaderError, AttachmentError, item=notification.id):
        content = _mail(renderer, notification, address, words, extras) if mail else words.short.encode()
    return Message(
        notification, kind, address, words.subject, content, private, sender=renderer.sender.address
    )


def _mail(
    renderer: Renderer, notification: Notification, address: str, words: Words, extras: Extras
) -> bytes:
    """The mail in wire format, signed."""
    date = now()
    content = build(
        id=notification.id,
        sender=renderer.sender,
        to=address,
        to_name=notification.recipient.name,
        subject=words.subject,
        plain=words.plain,
        html=words.html,
        date=date,
        extras=extras,
    )
    return _signed(renderer, notification, content, date)


def _passed_on(renderer: Renderer, notification: Notification, address: str, finished: bytes) -> Message:
    """The message of a mail that its author finished. Raises MailError, also for an author that the current
    settings do not allow."""
    mail = parse(finished)
    if not renderer.senders.allow(mail.authors):
        raise MailError(NOT_ALLOWED)
    content = passed_on(mail, notification.id, renderer.sender, notification.accepted_at)
    wire = _signed(renderer, notification, content, now())
    return Message(
        notification, "email", address, mail.subject, wire, composed=True, sender=renderer.sender.address
    )


def _signed(renderer: Renderer, notification: Notification, content: bytes, date: datetime) -> bytes:
    if not renderer.signers:
        return content
    with isolated("signing", item=notification.id):
        return signed(content, renderer.signers, date)


def _either(route: tuple[str, ...]) -> str:
    return " or ".join(route)
