"""The pages of recipients have no fault that axe-core finds: on a phone and a screen, light and dark, in each
language, before and after their forms are sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import product

import pytest
from support import accessibility
from support.browser import browser
from support.recipient_pages import LINKS, prefer, served

from waypost import Category
from waypost.config.settings import Settings, with_async_driver
from waypost.gateway.pages.wording import languages
from waypost.ledger import open_ledger
from waypost.ledger.records import recipients as people
from waypost.model.profile import Profile
from waypost.recipients.links import Link

pytestmark = pytest.mark.anyio

SENT = "document.readyState === 'complete' && !!document.querySelector('[role=status]')"
SHORT = {("en", 375, "light"), ("de", 1280, "dark")}
EVERY = [
    pytest.param(*one, marks=() if one in SHORT else pytest.mark.long)
    for one in product(languages(), (375, 1280), ("light", "dark"))
]


@pytest.fixture(scope="module")
def opened():
    accessibility.program()
    with browser() as page:
        yield page


@pytest.fixture
async def url(empty_ledger, tmp_path):
    file = tmp_path / "ledger.db"
    file.write_bytes(empty_ledger.read_bytes())
    ledger = open_ledger(with_async_driver(f"sqlite:///{file}"))
    for lang in languages():
        await people.put(ledger, Profile(id=lang, email=f"{lang}@northwind.example", locale=lang))
    colours = {"accent": "#ffd400", "accent_dark": "#4b0082"}  # neither suits the usual text of a button
    settings = Settings(brands={"harbour": {"sender": "Harbour <a@b.example>", **colours}})
    async with served(ledger, settings) as found:
        yield found
    await ledger.close()


def links_of(lang):
    """The page of preferences, that of one click, and that of a confirmation; of a brand too."""
    page = Link("", lang, None, 0, f"{lang}@northwind.example")
    off = replace(page, category=Category.MARKETING)
    return [page, off, replace(off, confirms=True), replace(off, brand="harbour")]


def looked_at(page, url, lang, width, scheme):
    """What axe-core finds on each page, by its name."""
    prefer(page, scheme)
    found = {}
    for number, link in enumerate(links_of(lang)):
        page.open(f"{url}/{link.page}/{LINKS.token(link)}", width, 900)
        assert page.run("document.documentElement.lang") == lang
        found[f"{number} {link.page}"] = accessibility.violations(page)
        page.run("document.forms[0].requestSubmit(document.querySelector('form > button')), 0")
        page.wait(SENT)
        found[f"{number} {link.page}, sent"] = accessibility.violations(page)
    page.open(f"{url}/u/revoked", width, 900)
    found["revoked"] = accessibility.violations(page)
    return {name: faults for name, faults in found.items() if faults}


@pytest.mark.parametrize(("lang", "width", "scheme"), EVERY)
async def test_axe_finds_no_violation(url, opened, lang, width, scheme):
    assert await asyncio.to_thread(looked_at, opened, url, lang, width, scheme) == {}


async def test_axe_finds_a_fault_where_there_is_one(url, opened):
    def spoiled():
        prefer(opened, "light")
        opened.open(f"{url}/u/revoked", 375, 900)
        opened.run("document.documentElement.removeAttribute('lang'), document.title = ''")
        opened.run("document.querySelector('main').innerHTML += '<img src=x>'")
        opened.run("document.querySelector('h1').style.color = '#cccccc'")
        return {one.partition(":")[0] for one in accessibility.violations(opened)}

    assert await asyncio.to_thread(spoiled) >= {
        "html-has-lang",
        "document-title",
        "image-alt",
        "color-contrast",
    }
