"""Compares what two sets of templates make of the same notifications."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest
from typing import Any, cast

from pydantic import ValidationError

from waypost.mail.masking import mask_in
from waypost.model.mail_links import shown_links
from waypost.model.notification import Notification
from waypost.model.notification_type import NotificationType
from waypost.model.validation_messages import explain
from waypost.rendering.catalogues import BrokenCatalogue
from waypost.rendering.messages import Renderer, render_one, words_of
from waypost.rendering.template_files import TemplateError
from waypost.rendering.template_set import Words
from waypost.system.isolation import ItemFailed

EXAMPLES = 5  # differences that are told of all notifications
LONGEST = 160  # characters of a line that is told
HIDDEN = "\u2026"


class Change(StrEnum):
    """What becomes of a notification with the new templates. LAYOUT: its HTML alone is another."""

    IDENTICAL = "identical"
    TEXT = "text changed"
    LINK = "link changed"
    LAYOUT = "layout changed"
    MISSING = "variable missing"
    FAILED = "failed"


FAILURES = (Change.MISSING, Change.FAILED)


@dataclass(slots=True)
class Tally:
    """The notifications of a type and locale. before, after: the bytes of all their HTML."""

    count: int = 0
    changes: Counter[Change] = field(default_factory=Counter[Change])
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One notification that is another with the new templates. Values are masked."""

    type: str
    locale: str
    id: str
    change: Change
    part: str
    old: str
    new: str


@dataclass(slots=True)
class Comparison:
    """What was found. tallies: by type and locale. differences: the first few."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict[tuple[str, str], Tally])
    differences: list[Difference] = field(default_factory=list[Difference])

    @property
    def failures(self) -> int:
        """How many notifications would fail with the new templates."""
        return sum(one.changes[change] for one in self.tallies.values() for change in FAILURES)

    def add(self, old: Renderer, new: Renderer, type: NotificationType, notification: Notification) -> None:
        """Render a notification with both, and count what becomes of it."""
        private = placeholders(type)
        before = _made(old, type, notification, private)
        after = _made(new, type, notification, private)
        if before != after and isinstance(after, Words) and _can_be_built(type, notification):
            built = render_one(
                new, type, notification, private, (), shown_links(type, new.optional), words=after
            )
            after = built.error or after
        locale = notification.recipient.locale
        tally = self.tallies.setdefault((type.name, locale), Tally())
        changes = {change: told for change, *told in changes_between(before, after)}
        tally.changes.update(list(changes) or [Change.IDENTICAL])
        tally.count += 1
        tally.before += _size(before)
        tally.after += _size(after)
        for change, told in changes.items():
            self._tell(notification, change, told)

    def _tell(self, notification: Notification, change: Change, told: list[str]) -> None:
        """Note a difference among the first few; a failure goes before another change."""
        if len(self.differences) >= EXAMPLES:
            spared = [one for one in self.differences if one.change not in FAILURES]
            if change not in FAILURES or not spared:
                return
            self.differences.remove(spared[-1])
        part, old, new = told
        hidden = mask_in if change in FAILURES else Mask(notification)  # a reason names files, not values
        locale, id = notification.recipient.locale, str(notification.id)
        shown = Difference(notification.type, locale, id, change, part, hidden(old), hidden(new))
        self.differences.append(shown)


def _can_be_built(type: NotificationType, notification: Notification) -> bool:
    """Whether its whole messages can be made here: it has an address, and no files that its type makes."""
    kinds = type.kinds_of(notification.channels)
    return type.attachments is None and any(map(notification.recipient.address, kinds))


def placeholders(type: NotificationType) -> dict[str, Any]:
    """Values in place of what the type mints, by the names that it declares."""
    return {name: _placeholder(name) for name in type.minted}


def _placeholder(name: str) -> Any:
    if re.search(r"(link|url)$", name):
        return f"https://waypost.invalid/{name}"
    return 15 if re.search(r"(minutes|hours|days|count)$", name) else f"[{name}]"


def _made(
    renderer: Renderer, type: NotificationType, notification: Notification, private: Mapping[str, Any]
) -> Words | str:
    """The texts, or why there are none."""
    try:
        return words_of(renderer, type, notification, private)
    except ValidationError as error:
        return f"its facts no longer fit the type: {explain(error)}"
    except (TemplateError, BrokenCatalogue, ItemFailed) as error:
        return str(error)


def _size(made: Words | str) -> int:
    return len(made.html.encode()) if isinstance(made, Words) else 0


_MISSING = re.compile(r"is undefined|has no (attribute|element)")


def changes_between(before: Words | str, after: Words | str) -> Iterator[tuple[Change, str, str, str]]:
    """What is another, with the part and its first line of old and new that differ."""
    if isinstance(after, str):
        old = before if isinstance(before, str) else ""
        yield Change.MISSING if _MISSING.search(after) else Change.FAILED, "", old, after
    elif isinstance(before, str):
        yield Change.TEXT, "", before, ""
    elif before != after:
        yield from _changed(before, after)


def _changed(before: Words, after: Words) -> Iterator[tuple[Change, str, str, str]]:
    old, new = _texts(before), _texts(after)
    if part := next((name for name in old if old[name] != new[name]), ""):
        yield Change.TEXT, part, *_first(old[part], new[part])
    links = _links(before), _links(after)
    if links[0] != links[1]:
        yield Change.LINK, "links", *_first(*links)
    if not part and links[0] == links[1]:
        yield Change.LAYOUT, "body.mjml", "", ""


def _texts(words: Words) -> Mapping[str, list[str]]:
    """The lines that people read, by part, without links."""
    read = {"subject.txt": words.subject, "body.txt": words.plain, "short.txt": words.short}
    found = {name: _LINK.sub("", text).splitlines() for name, text in read.items()}
    page = _TAG.sub("\n", _UNSEEN.sub("", words.html))
    return found | {"body.mjml": [line.strip() for line in page.splitlines() if line.strip()]}


_UNSEEN = re.compile(r"<!--.*?(?:-->|\Z)|<(style|script)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"']+")
# Five times as fast as `\b(?:href|src)` with re.IGNORECASE, which tries every place.
_ATTRIBUTE = re.compile(r"""[hHsS](?<!\w.)[rR](?:[eE][fF]|[cC])\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def _links(words: Words) -> list[str]:
    """Where the mail and the short text lead, in order."""
    page = ["".join(found) for found in _ATTRIBUTE.findall(words.html)]
    return [*page, *_LINK.findall(words.plain), *_LINK.findall(words.short)]


def _first(old: list[str], new: list[str]) -> tuple[str, str]:
    """The first lines that differ."""
    return next((pair for pair in zip_longest(old, new, fillvalue="") if pair[0] != pair[1]), ("", ""))


class Mask:
    """Hides the values of a notification in a line: each text and word of its facts and recipient, and every
    word with a digit, since money and dates are written in other ways than facts have them."""

    def __init__(self, notification: Notification) -> None:
        person = notification.recipient
        known = person.name, person.key, person.email or "", person.phone or ""
        texts = [*_leaves(notification.data), *_leaves(dict(person.attributes)), *known]
        lines = {line.strip() for text in texts for line in text.splitlines()}
        self._texts = sorted((line for line in lines if len(line) > 1), key=len, reverse=True)
        self._words = {word.casefold() for text in texts for word in _WORD.findall(text)}

    def __call__(self, line: str) -> str:
        """`line`, masked and cut off."""
        line = mask_in(line)
        for text in self._texts:
            line = line.replace(text, HIDDEN)
        return _WORD.sub(self._word, line)[:LONGEST]

    def _word(self, found: re.Match[str]) -> str:
        word = found.group()
        return HIDDEN if word.casefold() in self._words or any(map(str.isdigit, word)) else word


_WORD = re.compile(r"\w+")


def _leaves(value: object) -> Iterator[str]:
    """Every text at any depth, numbers as texts."""
    if isinstance(value, dict):
        for part in cast("dict[str, object]", value).values():
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from _leaves(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
