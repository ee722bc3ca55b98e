"""Every text of every shipped type holds naughty strings, and its mails and short texts stay what they are.

Each text field gets all strings that its type accepts, as many as fit at a time; all fields of a type have
some at once; the languages take turns."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.header import decode_header
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from support.naughty_strings import STRINGS
from support.shipped_mails import FACTS, MINTED, MOMENT, TYPES, renderer
from support.shipped_types import sample

from waypost.model.mail_links import shown_links
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.validation_messages import explain
from waypost.rendering.messages import render_one

LANGUAGES = ("en", "de", "zh")
PAGE = "https://a.example/?q="
ROOM = (1000, 500, 300, 200, 100, 50, 20)  # characters that a field may take
# Encoded words (RFC 2047) with a line break: a header refuses them, so they come alone.
SMUGGLED = [one for one in STRINGS if "=0D=0A" in one or "DQpCY2M6" in one]
WITHOUT_SMUGGLED = [one for one in STRINGS if one not in SMUGGLED]
Place = tuple[Any, ...]  # where a value stands in the facts: its keys and indexes


def places_in(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where the facts have texts."""
    if isinstance(value, str):
        yield at
    for key, part in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places_in(part, (*at, key))


def put(facts: Any, place: Place, text: str) -> None:
    for key in place[:-1]:
        facts = facts[key]
    facts[place[-1]] = text


def refused(type: Any, facts: Any, place: Place, text: str) -> str:
    """Why the type does not take the text there; empty if it takes it."""
    tried = copy.deepcopy(facts)
    put(tried, place, text)
    try:
        type.facts.model_validate(tried)
    except ValidationError as error:
        return explain(error)
    return ""


def values_of(type: Any, facts: Any, place: Place) -> list[str]:
    """The values for a place: all strings that it accepts, as many in each as fit. No value for a place that
    takes no free text, such as a date."""
    before = PAGE if refused(type, facts, place, "Harbour Quay") else ""
    if refused(type, facts, place, f"{before}Harbour"):
        return []
    room = next(size for size in ROOM if not refused(type, facts, place, before + "x" * (size - len(before))))
    good = [
        one for one in WITHOUT_SMUGGLED if len(one) <= room and not refused(type, facts, place, before + one)
    ]
    assert len(good) > 150, (type.name, place)
    values = [before]
    for one in good:
        if len(values[-1]) + len(one) < room and values[-1] != before:
            values[-1] += f" {one}"
        else:
            values.append(before + one)
    return [one for one in values[1:] if not refused(type, facts, place, one)]


def rendered(type: Any, facts: Any, lang: str, name: str) -> Any:
    person = ResolvedRecipient("ada", "ada@a.example", "+4917012345", name, lang, "Europe/Berlin")
    one = Notification(
        UUID(int=7), type.name, type.lane, person, facts, 2, MOMENT, MOMENT + timedelta(hours=1)
    )
    also_short = replace(type, route=("email", "sms"))
    minted = {word: MINTED[word] for word in type.minted}
    return render_one(renderer(), also_short, one, minted, (), shown_links(type))


TAG = re.compile(r"<([!/?]?[A-Za-z!?\[][\w:-]*)")
LINK = re.compile(r"""\s(?:href|src|action|background)="([^"]*)\"""")
QUOTED = re.compile(r'="[^"]*"')  # a value in which a quote is a character reference
HANDLER = re.compile(r"<[^>]*\s(?:on\w+|href|src|action|background)\s*=\s*[^\s]")


def seen(made: Any) -> tuple[set[str], set[str], str, str]:
    """Of a mail: its headers, the tags of its page, the page itself, and the subject as it is decoded."""
    mail = message_from_bytes(made.messages["email"].content)
    [page] = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    text = page.get_payload(decode=True).decode()
    subject = "".join(
        raw.decode(charset or "ascii") if isinstance(raw, bytes) else raw
        for raw, charset in decode_header(re.sub(r"\r?\n(?=[ \t])", "", mail["Subject"]))
    )
    return {name.lower() for name, _ in mail.items()}, {*TAG.findall(text)}, text, subject


NAMES = [
    one
    for one in STRINGS
    if one.strip() and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|=\?", one)
]


@pytest.mark.parametrize("name", TYPES)
def test_a_naughty_string_stays_text(name):
    type, facts = TYPES[name], copy.deepcopy(FACTS.get(name) or sample(name))
    values = {place: found for place in places_in(facts) if (found := values_of(type, facts, place))}
    assert values
    usual = {lang: seen(rendered(type, facts, lang, "Ada"))[:2] for lang in LANGUAGES}
    for turn in range(max(map(len, values.values()))):
        lang = LANGUAGES[turn % len(LANGUAGES)]
        spoilt = copy.deepcopy(facts)
        for number, (place, every) in enumerate(values.items()):
            put(spoilt, place, every[(turn + number) % len(every)])
        made = rendered(type, spoilt, lang, NAMES[turn % len(NAMES)])
        assert made.error is None, (made.error, spoilt)
        here, found, page, subject = seen(made)
        headers, tags = usual[lang]
        assert (here, found - tags) == (headers, set()), spoilt
        assert not HANDLER.search(QUOTED.sub("", page))
        assert {one.partition(":")[0] for one in LINK.findall(page)} <= {"https", "http", "mailto", "#"}
        assert subject == made.messages["email"].title


@pytest.mark.parametrize("name", TYPES)
def test_an_encoded_word_that_smuggles_a_header_fails_by_the_name_of_its_header(name):
    type, facts = TYPES[name], copy.deepcopy(FACTS.get(name) or sample(name))
    for place in places_in(facts):
        for text in (*SMUGGLED, *(PAGE + one for one in SMUGGLED)):
            if refused(type, facts, place, text):
                continue
            spoilt = copy.deepcopy(facts)
            put(spoilt, place, text)
            made = rendered(type, spoilt, "en", "Ada")
            if made.error is None:
                assert seen(made)[3] == made.messages["email"].title
            else:
                assert made.error == "Subject contains a control character (a line break, for example)"


@pytest.mark.parametrize("name", TYPES)
def test_a_string_that_is_refused_is_refused_by_the_name_of_its_field(name):
    type, facts = TYPES[name], copy.deepcopy(FACTS.get(name) or sample(name))
    for place in places_in(facts):
        for text in STRINGS:
            if said := refused(type, facts, place, text):
                assert said.startswith(".".join(map(str, place[:1]))), (place, text, said)
                assert len(text) < 12 or text not in said
