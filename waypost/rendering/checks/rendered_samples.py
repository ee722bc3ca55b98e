"""The samples of types, rendered as they are sent, and what the checks find in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from waypost.model.mail_links import shown_links
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.notification_type import NotificationType
from waypost.model.validation_messages import explain
from waypost.rendering.catalogues import SOURCE_LANGUAGE, BrokenCatalogue
from waypost.rendering.checks.client_support import client_support
from waypost.rendering.checks.contrast import contrasts
from waypost.rendering.checks.document import document, headings
from waypost.rendering.checks.finding import Finding, Level
from waypost.rendering.checks.links import images, links
from waypost.rendering.checks.page import NO_LINES, Lines, Page, lines_of, page_of
from waypost.rendering.checks.source_lines import MarkedTemplates
from waypost.rendering.checks.weight import LARGEST, depth, weight
from waypost.rendering.comparing import placeholders
from waypost.rendering.live_templates import with_parents
from waypost.rendering.messages import Renderer, render_one, words_of
from waypost.rendering.samples import NoSample, Sample, sample_of
from waypost.rendering.template_files import TemplateError
from waypost.rendering.template_set import TemplateSet
from waypost.system.isolation import ItemFailed

EVERY: tuple[Callable[[Page], Iterator[Finding]], ...] = (
    document, headings, links, images, contrasts, client_support, depth,
)  # fmt: skip

_READER = ("ada", "ada@lovelace.example", None, "Ada Lovelace")
_MOMENT = datetime(2026, 3, 25, 2, 14, 9, tzinfo=UTC)


class NotRendered(Exception):
    """A sample has no mail, and the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.said)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class SampleMail:
    """A type's sample in a language. wire: the mail as it is sent. html: its HTML part, or an empty text."""

    type: str
    lang: str
    wire: bytes
    html: str
    file: str


class Samples:
    """Renders samples with the renderer that sends, for one brand. The source lines of a type's page are
    found once, in its first language."""

    def __init__(self, renderer: Renderer, like: Samples | None = None) -> None:
        """like: samples of another brand, whose source lines are used."""
        self._renderer = renderer
        self._templates = renderer.templates
        self._files = self._templates.files
        marked = like._marked.templates if like else MarkedTemplates(self._files.folders)
        self._marked = replace(renderer, templates=marked)
        self._lines: dict[tuple[str, ...], Lines] = like._lines if like else {}

    def languages(self, type: NotificationType) -> list[str]:
        """The languages in which the type is sent; a mail that its author composed has its own."""
        return [SOURCE_LANGUAGE] if type.finished else self._templates.languages(type.name)

    def mail(self, type: NotificationType, lang: str) -> SampleMail:
        """The sample's mail. Raises NotRendered."""
        notification, private = self._notification(type, lang)
        rendered = render_one(self._renderer, type, notification, private, (), shown_links(type))
        file = self._file(type, lang)
        if rendered.error is not None:
            said = f"the sample cannot be rendered ({rendered.error}); correct the template or the sample"
            raise NotRendered(Finding(Level.FAULT, file, 0, said))
        wire = rendered.messages["email"].content
        return SampleMail(type.name, lang, wire, _html(wire), file)

    def page(self, type: NotificationType, mail: SampleMail) -> Page:
        """The mail's page, with the lines of its source where it has one."""
        if type.finished is not None:
            return page_of(mail.html, mail.lang, "ltr", lambda _: (mail.file, 0))
        found = self._templates.find(type.name, mail.lang)
        files = tuple(found.html.flat.files)
        page = self._page(mail, found, self._lines.get(files, NO_LINES))
        if not page.has_lines:
            self._lines[files] = self._lines_in(type, mail.lang)
            page = self._page(mail, found, self._lines[files])
        return page

    def _page(self, mail: SampleMail, found: TemplateSet, lines: Lines) -> Page:
        flat, display = found.html.flat, self._files.display

        def origin(line: int) -> tuple[str, int]:
            file, number = flat.origin(line)
            return display(file), number

        return page_of(mail.html, found.lang, found.direction, origin, flat.text, lines)

    def _lines_in(self, type: NotificationType, lang: str) -> Lines:
        notification, private = self._notification(type, lang)
        try:
            return lines_of(words_of(self._marked, type, notification, private).html)
        except (TemplateError, BrokenCatalogue, ItemFailed):
            return NO_LINES  # the marks have broken it; findings name the file alone

    def _notification(self, type: NotificationType, lang: str) -> tuple[Notification, Mapping[str, Any]]:
        if type.mint is not None and not type.minted:
            said = "the mail is not checked: its type does not declare what it mints; name it in minted"
            raise NotRendered(Finding(Level.NOTE, self._file(type, lang), 0, said))
        try:
            sample = sample_of(type.name, self._files.folders, self._renderer.brand.sender)
        except NoSample as error:
            raise NotRendered(
                Finding(Level.NOTE, self._file(type, lang), 0, f"not checked: {error}")
            ) from None
        try:
            type.facts.model_validate(sample.facts)
        except ValidationError as error:
            said = f"the sample does not fit the type ({explain(error)}); correct the sample"
            raise NotRendered(Finding(Level.FAULT, sample.file, 0, said)) from None
        return notification_of(type, sample, lang), placeholders(type)

    def _file(self, type: NotificationType, lang: str) -> str:
        """The file that a finding names which has no line."""
        name = None if type.finished else self._files.part(type.name, with_parents(lang), "body.mjml")
        return self._files.display(name or f"{type.name}/sample.json")


def notification_of(type: NotificationType, sample: Sample, lang: str) -> Notification:
    """A notification of the type with the sample's facts, to a reader of this language."""
    person = ResolvedRecipient(*_READER, lang, "UTC")
    until = _MOMENT + timedelta(hours=1)
    return Notification(UUID(int=1), type.name, type.lane, person, sample.facts, 1, _MOMENT, until)


def _html(wire: bytes) -> str:
    read = message_from_bytes(wire, EmailMessage, policy=policy.default)
    part = read.get_body(("html",))
    return part.get_content().replace("\r\n", "\n") if part is not None else ""


def findings_in(mail: SampleMail, page: Page) -> list[Finding]:
    """What every check finds in a mail, but for its spam score."""
    if not mail.html:
        return []
    found = [*weight(mail.html, page)]
    if len(mail.html) <= LARGEST:
        for check in EVERY:
            found += check(page)
    return list(dict.fromkeys(found))
