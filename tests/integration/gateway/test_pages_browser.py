"""The pages in a real browser without scripts: on a phone and a screen, light and dark, by mouse and keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.browser import browser
from support.recipient_pages import LINKS, prefer, served

from waypost import Category
from waypost.config.settings import Settings, with_async_driver
from waypost.ledger import open_ledger
from waypost.ledger.records import preferences
from waypost.ledger.records import recipients as people
from waypost.model.profile import Profile
from waypost.recipients.links import Link

pytestmark = pytest.mark.anyio

PAGE = Link("", "ada", None, 0, "ada.lovelace@northwind.example")
OFF = replace(PAGE, category=Category.MARKETING)
ASKED = replace(OFF, confirms=True)
LOADED = "document.readyState === 'complete' && "


@pytest.fixture(scope="module")
def opened():
    with browser() as page:
        page.ask("Emulation.setScriptExecutionDisabled", value=True)
        yield page


@pytest.fixture
async def ledger(empty_ledger, tmp_path):
    file = tmp_path / "ledger.db"
    file.write_bytes(empty_ledger.read_bytes())
    made = open_ledger(with_async_driver(f"sqlite:///{file}"))
    yield made
    await made.close()


@pytest.fixture
async def url(ledger):
    await people.put(ledger, Profile(id="ada", email="ada.lovelace@northwind.example", locale="de"))
    async with served(ledger, Settings()) as found:
        yield found


def show(page, url, link, width, scheme):
    prefer(page, scheme)
    page.open(f"{url}/{link.page}/{LINKS.token(link)}", width, 900)


async def in_browser(work, *arguments):
    return await asyncio.to_thread(work, *arguments)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("link", [PAGE, OFF, ASKED])
async def test_a_page_fits_and_has_its_styles(url, opened, width, scheme, link):
    await in_browser(show, opened, url, link, width, scheme)
    assert opened.run("document.documentElement.scrollWidth") <= width
    styled = "getComputedStyle(document.body).backgroundColor"
    assert opened.run(styled) == {"light": "rgb(242, 243, 241)", "dark": "rgb(18, 21, 22)"}[scheme]
    low = "[...document.querySelectorAll('button, select, label:has(input)')].map(e => e.offsetHeight)"
    assert min(opened.run(low)) >= 44, "a finger hits what is 44 pixels high"


async def test_a_person_chooses_by_keys_and_the_page_says_that_it_is_saved(url, opened, ledger):
    await in_browser(show, opened, url, PAGE, 375, "light")

    def choose():
        opened.run("document.querySelector('#cadence-marketing').focus()")
        for key in ("End", "Enter"):
            for kind in ("keyDown", "keyUp"):
                opened.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        opened.run("document.querySelector('form > button').focus()")
        opened.ask("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
        opened.ask("Input.dispatchKeyEvent", type="keyUp", key="Enter", code="Enter")
        opened.wait(LOADED + "!!document.querySelector('[role=status]')")

    await in_browser(choose)
    assert "Gespeichert" in opened.text
    [(category, choice)] = (await preferences.choices(ledger, "", "ada")).items()
    assert (category, str(choice.preference.cadence)) == (Category.MARKETING, "never")


async def test_a_person_unsubscribes_by_the_button(url, opened, ledger):
    await in_browser(show, opened, url, replace(PAGE, category=Category.ALERT), 375, "dark")
    await in_browser(opened.click, "document.querySelector('button')")
    await in_browser(opened.wait, LOADED + "!!document.querySelector('[role=status]')")
    assert "Sie haben abbestellt" in opened.text
    assert list(await preferences.choices(ledger, "", "ada")) == [Category.ALERT]


async def test_a_person_confirms_by_the_button(url, opened, ledger):
    await in_browser(show, opened, url, ASKED, 375, "light")
    assert "Bitte bestätigen" in opened.text
    assert await preferences.choices(ledger, "", "ada") == {}
    await in_browser(opened.click, "document.querySelector('button')")
    await in_browser(opened.wait, LOADED + "!!document.querySelector('[role=status]')")
    assert "sendet Ihnen ab jetzt „Angebote und Aktionen“" in opened.text
    [(category, choice)] = (await preferences.choices(ledger, "", "ada")).items()
    assert (category, choice.confirmed_at is not None) == (Category.MARKETING, True)
