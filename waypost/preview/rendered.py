"""What a type's sample becomes: the messages that would be sent, taken apart for a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.delivery.renderer import renderer
from waypost.mail.attachment import Attachment, AttachmentError
from waypost.mailbox.kept import mail_of
from waypost.model.brand import DEFAULT, Brand, no_such_brand
from waypost.model.locale import known_locale
from waypost.model.mail_links import shown_links
from waypost.model.notification import Notification, Rendered, ResolvedRecipient
from waypost.model.notification_type import NotificationType
from waypost.model.validation_messages import explain
from waypost.rendering.attachments import attached_to_each
from waypost.rendering.catalogues import BrokenCatalogue
from waypost.rendering.checks.rendered_samples import NotRendered, Samples, findings_in
from waypost.rendering.comparing import placeholders
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import render_one, too_long
from waypost.rendering.preheader import preheader_of
from waypost.rendering.preparing import PutOff
from waypost.rendering.samples import NoSample, sample_of
from waypost.rendering.template_check import examine, left_out, scarce, untranslated
from waypost.rendering.template_files import TemplateError
from waypost.system.clock import now
from waypost.system.isolation import ItemFailed, isolated
from waypost.verification.codes import Proof
from waypost.verification.minting import minted

NAME, EMAIL, PHONE = "Ada Lovelace", "ada@shop.example", "+15550100"  # of the recipient
ID = UUID("019b76da-a800-7000-8000-000000000000")  # always the same, and so are the codes


class CannotShow(ValueError):
    """A type cannot be shown. Says why, with the file and line if a template is the reason."""


class WrongFacts(CannotShow):
    """The facts that were given are not the type's. Names the field."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The messages of a notification.

    html: of its mail, with inline images; empty without. short: None if the type's route has no channel for
    it. is_sms: whether that is an SMS. too_long: the fault of an SMS that takes more segments than its type
    allows, so that it is not sent; else empty. headers: the mail's, as (name, value). files: names of its
    attachments. size: the bytes of its HTML.
    """

    subject: str
    preheader: str
    html: str
    text: str
    short: str | None
    is_sms: bool
    too_long: str
    headers: Sequence[tuple[str, str]]
    files: Sequence[str]
    size: int
    version: str | None


class Previews:
    """Renders types with the present templates: each preview reads them anew."""

    def __init__(self, settings: Settings, known: Mapping[str, Brand] | None = None) -> None:
        """known: all brands; those of the settings without it."""
        self._settings = settings
        self.brands = brands(settings) if known is None else known

    @property
    def default_locale(self) -> str:
        return self._settings.default_locale

    @property
    def folders(self) -> Sequence[Path]:
        """Those of the templates, as they are now: the project may get its first."""
        return self._settings.template_folders

    def templates(self) -> Templates:
        """The templates as they are now."""
        return Templates(self.folders, self.default_locale)

    def languages(self, type: NotificationType) -> list[str]:
        """The languages in which the type is sent; empty for a type without templates of its own."""
        with suppress(TemplateError):
            return self.templates().languages(type.name)
        return []

    def sample(self, type: NotificationType, brand: str | None = None) -> str:
        """The type's sample facts as JSON. Raises CannotShow."""
        sender = self._brand(type, brand).sender
        try:
            facts = sample_of(type.name, self.folders, sender).facts
        except NoSample as error:
            raise CannotShow(str(error)) from None
        written = json.dumps(facts, indent=2, ensure_ascii=False)
        # A lone surrogate, which no encoding has, is shown as the file writes it.
        return written if _can_be_sent(written) else json.dumps(facts, indent=2)

    async def of(
        self, type: NotificationType, locale: str, brand: str | None = None, facts: str | None = None
    ) -> Preview:
        """The type's messages to a recipient of this locale. facts: JSON in place of the sample's. Raises
        CannotShow."""
        whose = self._brand(type, brand)
        data = self._sample_facts(type, brand) if facts is None else _facts(type, facts)
        notification = self._notification(type, _locale(locale), whose, data)
        try:
            templates = self.templates()
            templates.translation(notification.recipient.locale)  # `find` leaves a broken catalogue out
            private = await _private(type, notification)
            files = await self._files(type, notification)
            with isolated("rendering", BrokenCatalogue, item=notification.id):
                by = renderer(self._settings, templates, whose, type.kinds)
                # Without the limit of its SMS, which would hide the mail.
                whole = replace(type, sms_segments=None)
                rendered = render_one(by, whole, notification, private, files, shown_links(type))
                return _preview(rendered, self._too_long(templates, type, rendered))
        except (BrokenCatalogue, AttachmentError, ItemFailed, PutOff) as error:
            raise CannotShow(str(error)) from None

    def findings(self, type: NotificationType, locale: str, brand: str | None = None) -> list[str]:
        """What `waypost templates check` says of the type, and of its sample's mail in this locale; without
        the spam score, which takes seconds."""
        templates = self.templates()
        if broken := examine(templates, type):
            return broken
        found = [*untranslated(templates, type), *scarce(templates, type), *left_out(templates, type)]
        if "email" in type.kinds:
            with suppress(CannotShow, NotRendered):  # told in place of the mail
                whose = self._brand(type, brand)
                samples = Samples(renderer(self._settings, templates, whose, ("email",)))
                mail = samples.mail(type, _locale(locale))
                found += [f"{one.place}: {one.said}" for one in findings_in(mail, samples.page(type, mail))]
        return found

    def _too_long(self, templates: Templates, type: NotificationType, rendered: Rendered) -> str:
        """The fault of an SMS that is too long; else empty."""
        if (sms := rendered.messages.get("sms")) is None:
            return ""
        found = templates.find(type.name, rendered.notification.recipient.locale)
        return too_long(type, found, sms.content.decode())

    def _brand(self, type: NotificationType, brand: str | None) -> Brand:
        name = brand or type.brand or DEFAULT
        if name not in self.brands:
            raise CannotShow(f"{no_such_brand(name, self.brands)}. Add it to WAYPOST_BRANDS")
        return self.brands[name]

    def _sample_facts(self, type: NotificationType, brand: str | None) -> dict[str, Any]:
        try:
            return _facts(type, self.sample(type, brand))
        except WrongFacts as error:
            raise CannotShow(f"templates/{type.name}/sample.json: {error}") from None

    def _notification(
        self, type: NotificationType, locale: str, whose: Brand, data: dict[str, Any]
    ) -> Notification:
        person = ResolvedRecipient(EMAIL, EMAIL, PHONE, NAME, locale, self._settings.default_timezone)
        moment = now()
        return Notification(
            id=ID,
            type=type.name,
            priority=type.lane,
            recipient=person,
            data=data,
            count=1,
            accepted_at=moment,
            expires_at=moment + type.deadline,
            brand=whose.key,
        )

    async def _files(self, type: NotificationType, notification: Notification) -> Sequence[Attachment]:
        """Raises AttachmentError, ItemFailed, PutOff."""
        megabytes = self._settings.attachment_megabytes
        found = (await attached_to_each(type, [notification], megabytes)).get(notification.id, ())
        if isinstance(found, Exception):
            raise found
        return found


def _can_be_sent(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _locale(locale: str) -> str:
    try:
        return known_locale(locale)
    except ValueError as error:
        raise CannotShow(f"locale: {error}") from None


def _facts(type: NotificationType, written: str) -> dict[str, Any]:
    """The facts in a JSON text as the ledger has them: validated. Raises WrongFacts."""
    try:
        with isolated("reading its facts", ValidationError):
            facts = type.facts.model_validate_json(written)
            return json.loads(facts.model_dump_json(round_trip=True))
    except ValidationError as error:
        raise WrongFacts(explain(error, "facts")) from None
    except ItemFailed as error:
        raise WrongFacts(str(error)) from None


class _NoLedger:
    """A minter's context that keeps nothing. Its key is no installation's: a shown code proves nothing."""

    secret_key = b"preview"

    async def keep_codes(self, rows: Sequence[dict[str, Any]]) -> None:
        pass


async def _private(type: NotificationType, notification: Notification) -> Mapping[str, Any]:
    """Codes and links of Waypost's own minter, and placeholders of what another would make: it may do more
    than compute. Raises ItemFailed, PutOff."""
    if not isinstance(type.mint, Proof):
        return placeholders(type)
    made = (await minted(_NoLedger(), type, [notification]))[notification.id]
    if isinstance(made, Exception):
        raise made
    return made


def _preview(rendered: Rendered, too_long: str) -> Preview:
    """Raises ItemFailed for a notification that could not be rendered."""
    if rendered.error is not None:
        raise ItemFailed(rendered.error)
    mail = rendered.messages.get("email")
    read = mail_of(mail.content) if mail else None
    short = next((one for kind, one in rendered.messages.items() if kind != "email"), None)
    html = (read.html if read else None) or ""
    return Preview(
        subject=next((one.title for one in rendered.messages.values()), ""),
        preheader=preheader_of(html),
        html=html,
        text=(read.text if read else None) or "",
        short=short.content.decode() if short else None,
        is_sms="sms" in rendered.messages,
        too_long=too_long,
        headers=read.headers if read else [],
        files=read.files if read else [],
        size=len(html.encode()),
        version=rendered.template_version,
    )
