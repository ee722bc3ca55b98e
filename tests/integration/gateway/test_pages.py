"""The pages of recipients on a real listener: what a GET leaves as it is, and what a POST changes."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes, policy

import httpx
import pytest
import sqlalchemy as sa
from support.flow_steps import SETTINGS, run
from support.ledger import NOTE, ask, change, rows

from waypost import Category, Priority, Request
from waypost.channels.memory import MemoryChannel
from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments.processes.gateway import pages_served
from waypost.flows.opt_in_confirmation import TYPE as OPT_IN
from waypost.gateway.listen import ListenAddress, PortTaken
from waypost.gateway.pages.context import PagesContext
from waypost.gateway.pages.form import MOST_BYTES
from waypost.ledger.database.tables import notifications, preferences, recipients, suppressions
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records import preferences as chosen
from waypost.ledger.records import recipients as people
from waypost.model.cadence import Cadence
from waypost.model.category import CategoryTerms
from waypost.model.permission import Preference
from waypost.model.profile import Profile
from waypost.model.request import Recipient
from waypost.recipients.choices import Catalogue
from waypost.recipients.links import Link, Links

pytestmark = pytest.mark.anyio

NEWS = replace(NOTE, name="news", category=Category.MARKETING, route=("email", "sms"))
TIPS = replace(NOTE, name="tips", category=Category.PRODUCT)
CODE = replace(NOTE, name="code", category=Category.SECURITY)
ORDER = replace(NOTE, name="order", category=Category.TRANSACTIONAL)
TYPES = [NEWS, TIPS, CODE, ORDER]
LINKS = Links(b"a key of sixteen or more")
ADA = Link("shop", "ada", None, 0, "ada@a.example")
OFF = replace(ADA, category=Category.MARKETING)
ASKED = replace(OFF, confirms=True)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
CONFIRM = {"confirm": "yes"}
SCANNERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks",
    "Barracuda Sentinel (EE)",
    "Mimecast URL Protect",
    "GoogleImageProxy",
    "Mozilla/5.0 (compatible; proofpoint)",
]
TABLES = (preferences, suppressions, notifications, recipients)


class Pages:
    def __init__(self, client, ledger):
        self.ask = client.request
        self.get, self.post = client.get, client.post
        self.ledger = ledger

    async def rows(self):
        """Every row that a page could change."""
        return [sorted(map(repr, await rows(self.ledger, table))) for table in TABLES]


def path(link):
    return f"/{link.page}/{LINKS.token(link)}"


async def first_links(ledger):
    """The links of this file work for everybody who is known."""
    await change(ledger, recipients, sa.true(), link_generation=0)


@asynccontextmanager
async def pages_over(ledger, terms=None, where=None, **settings):
    await first_links(ledger)
    catalogue = Catalogue(TYPES, terms or {})
    context = PagesContext(ledger, catalogue, LINKS, brands(Settings(**settings)))
    async with served(context, where or ListenAddress(port=0)) as client:
        yield Pages(client, ledger)


@asynccontextmanager
async def served(context, where=ListenAddress(port=0)):  # noqa: B008 - a frozen value
    async with (
        pages_served(context, where, asyncio.Event()) as found,
        httpx.AsyncClient(base_url=found.url, timeout=30) as client,
    ):
        yield client


@pytest.fixture
async def pages(ledger):
    to_ada = [Candidate(type, ask(to="ada"), client="shop") for type in (NEWS, NEWS, TIPS, CODE)]
    await accept_all(ledger, [*to_ada, Candidate(NEWS, ask(to="bob"), client="shop")])
    async with pages_over(ledger) as running:
        yield running


async def states(ledger):
    return Counter((row.type, row.recipient_key, row.state) for row in await rows(ledger))


async def choice(ledger, category=Category.MARKETING):
    found = await chosen.choices(ledger, "shop", "ada")
    return found.get(category)


@pytest.mark.parametrize("agent", SCANNERS)
async def test_a_scanner_changes_nothing_by_get_head_and_options(pages, agent):
    before, headers = await pages.rows(), {"user-agent": agent}
    for _ in range(20):
        for link in (OFF, ADA, ASKED):
            for method in ("GET", "HEAD", "OPTIONS"):
                answer = await pages.ask(method, path(link), headers=headers)
                assert answer.status_code == (204 if method == "OPTIONS" else 200)
    assert await pages.rows() == before


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b"List-Unsubscribe=One-Click"},
        {"data": {**ONE_CLICK, "campaign": "spring"}},
    ],
)
async def test_one_click_turns_its_category_off_and_stops_what_waits_while_codes_stay(pages, ledger, body):
    """RFC 8058, section 3.2: the answer is no redirect, and needs no cookie."""
    answer = await pages.post(path(OFF), **body)
    assert answer.status_code == 200
    assert not {"location", "set-cookie"} & set(answer.headers)
    assert "You are unsubscribed" in answer.text
    assert await states(ledger) == {
        ("news", "ada", "suppressed"): 2,
        ("tips", "ada", "accepted"): 1,
        ("code", "ada", "accepted"): 1,
        ("news", "bob", "accepted"): 1,
    }
    found = await choice(ledger)
    assert str(found.preference.cadence) == "never"
    assert found.by == "one click"
    assert re.fullmatch(r"one click in a mail of marketing, \d{4}-\d\d-\d\d \d\d:\d\d UTC", found.evidence)
    [stopped] = await rows(ledger, suppressions)
    assert (stopped.shown, stopped.client, stopped.scope) == ("ada@a.example", "shop", "marketing")
    again = await pages.post(path(OFF), **body)
    assert again.status_code == 200


async def test_the_button_of_the_confirmation_page_confirms_its_category_and_no_other(pages, ledger):
    shown = (await pages.get(path(ASKED))).text
    assert shown.count("<button") == 1
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]+)"', shown.partition("<form")[2]))
    for _ in range(2):
        answer = await pages.post(path(ASKED), data=fields)
        assert answer.status_code == 200
        assert "will send you “Offers and promotions” from now on" in answer.text
    [(category, found)] = (await chosen.choices(ledger, "shop", "ada")).items()
    assert (category, found.preference) == (Category.MARKETING, Preference(confirmed=True))
    assert (found.by, found.confirmed_at is not None) == ("confirmation page", True)
    said = r"confirmation page, by the link of a mail to the address, \d{4}-\d\d-\d\d \d\d:\d\d UTC"
    assert re.fullmatch(said, found.evidence)


@pytest.mark.parametrize(
    ("before", "default", "after"),
    [
        (None, "weekly", "weekly on monday at 09:00"),
        (None, "never", "at once"),
        ("never", "daily", "daily at 09:00"),
        ("monthly", "daily", "monthly on 1 at 09:00"),
    ],
)
async def test_a_confirmation_turns_on_what_is_off_and_keeps_a_chosen_cadence(ledger, before, default, after):
    await people.put(ledger, Profile(id="ada", email="ada@a.example"), "shop")
    if before:
        wanted = {Category.MARKETING: Preference(Cadence.parse(before))}
        await chosen.choose(ledger, "shop", "ada", wanted, "api")
    async with pages_over(ledger, {Category.MARKETING: CategoryTerms(cadence=default)}) as pages:
        assert (await pages.post(path(ASKED), data=CONFIRM)).status_code == 200
    found = await choice(ledger)
    assert (str(found.preference.cadence), found.confirmed_at is not None) == (after, True)


async def test_what_has_to_be_confirmed_is_shown_as_off_until_the_page_or_a_link_confirms_it(ledger):
    await people.put(ledger, Profile(id="ada", email="ada@a.example"), "shop")
    weekly = {Category.MARKETING: Preference(Cadence.parse("weekly"))}
    await chosen.choose(ledger, "shop", "ada", weekly, "api")
    for_all = {Category.MARKETING: Preference(confirmed=True)}
    await chosen.choose(ledger, "shop", chosen.AUDIENCE, for_all, "api")
    async with pages_over(ledger, {Category.MARKETING: CategoryTerms(confirm=True)}) as pages:
        assert 'value="never" selected' in (await pages.get(path(ADA))).text
        await pages.post(path(ADA), data={"cadence-marketing": "never"})
        assert (await choice(ledger)).by == "api", "what stays as it is shown is not stored"
        await pages.post(path(ASKED), data=CONFIRM)
        shown = (await pages.get(path(ADA))).text
        assert ('value="weekly" selected' in shown, 'value="never" selected' in shown) == (True, False)
        await pages.post(path(OFF), data=ONE_CLICK)
        form = {"cadence-marketing": "daily", "channels-marketing": ["email", "sms"]}
        assert 'value="daily" selected' in (await pages.post(path(ADA), data=form)).text
    assert (await choice(ledger)).confirmed_at is not None


async def test_a_confirmation_lifts_the_unsubscription_of_its_address(pages, ledger):
    await pages.post(path(OFF), data=ONE_CLICK)
    await pages.post(path(ASKED), data=CONFIRM)
    assert await rows(ledger, suppressions) == []
    assert (await choice(ledger)).preference == Preference(confirmed=True)


@pytest.mark.parametrize("body", [{}, ONE_CLICK, {"confirm": "no"}, {**CONFIRM, "category": "product"}])
async def test_no_other_form_confirms(pages, body):
    before = await pages.rows()
    assert (await pages.post(path(ASKED), data=body)).status_code == 400
    assert await pages.rows() == before


async def test_two_hundred_codes_that_wait_are_not_stopped(pages, ledger):
    await accept_all(ledger, [Candidate(CODE, ask(f"{n}", to="ada"), client="shop") for n in range(200)])
    await pages.post(path(OFF), data=ONE_CLICK)
    assert (await states(ledger))["code", "ada", "accepted"] == 201


async def test_the_button_of_the_page_does_the_same_and_the_evidence_tells_them_apart(pages, ledger):
    shown = (await pages.get(path(OFF))).text
    assert shown.count("<button") == 1
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]+)"', shown.partition("<form")[2]))
    assert (await pages.post(path(OFF), data=fields)).status_code == 200
    assert (await choice(ledger)).evidence.startswith("unsubscribe page in a mail of marketing, ")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"data": {"List-Unsubscribe": "Yes"}}, 400),
        ({"data": {"List-Unsubscribe": ["One-Click", "One-Click"]}}, 400),
        ({"data": {"category": "product"}}, 400),
        ({"json": ONE_CLICK}, 415),
        ({"content": b"List-Unsubscribe=One-Click\xff"}, 400),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        (
            {
                "content": b"--b\r\n\r\nx\r\n--b--",
                "headers": {"content-type": "multipart/form-data; boundary=b"},
            },
            400,
        ),
        ({"data": {**ONE_CLICK, "more": "x" * MOST_BYTES}}, 413),
        ({"files": {"List-Unsubscribe": (None, "One-Click"), "more": b"x" * MOST_BYTES}}, 413),
        ({"content": b"&".join([b"a=b"] * 500)}, 400),
    ],
)
@pytest.mark.parametrize("link", [OFF, ADA, ASKED])
async def test_a_body_that_is_not_the_form_changes_nothing_and_is_refused_in_plain_words(
    pages, link, body, status
):
    before = await pages.rows()
    answer = await pages.post(path(link), **body)
    if link is ADA and not body:
        assert answer.status_code == 200, "a form without fields changes nothing"
    else:
        assert answer.status_code == status
        assert "Nothing was changed" in answer.text
    assert await pages.rows() == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(pages, method):
    for link in (OFF, ASKED):
        answer = await pages.ask(method, path(link))
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


@pytest.mark.parametrize(
    "wrong",
    [
        f"/u/{LINKS.token(ADA)}",
        f"/p/{LINKS.token(OFF)}",
        f"/c/{LINKS.token(OFF)}",
        f"/c/{LINKS.token(ADA)}",
        f"/u/{LINKS.token(ASKED)}",
        f"/p/{LINKS.token(ASKED)}",
        f"/c/{LINKS.token(replace(ASKED, generation=1))}",
        f"/c/{LINKS.token(replace(ASKED, key='nobody'))}",
        f"/c/{LINKS.token(replace(ASKED, category=Category.SECURITY))}",
        f"/u/{LINKS.token(OFF)}{LINKS.token(replace(OFF, category=Category.PRODUCT))}",
        f"/u/{LINKS.token(OFF)}/{LINKS.token(replace(OFF, category=Category.PRODUCT))}",
        f"/u/{LINKS.token(OFF)[:-1]}",
        f"/u/{Links(b'another key of sixteen').token(OFF)}",
        f"/u/{LINKS.token(replace(OFF, generation=1))}",
        f"/u/{LINKS.token(replace(OFF, key='nobody'))}",
        f"/u/{LINKS.token(replace(OFF, client='bank'))}",
        f"/u/{LINKS.token(replace(OFF, category=Category.SECURITY))}",
        "/u/",
        "/u",
        "/",
        "/v1/notifications",
        "/metrics",
        "/../healthz/x",
    ],
)
async def test_a_link_that_is_forged_revoked_or_of_another_scope_is_not_found_in_plain_words(pages, wrong):
    before = await pages.rows()
    for method in ("GET", "POST"):
        answer = await pages.ask(method, wrong, data=ONE_CLICK if method == "POST" else None)
        assert answer.status_code == 404
        assert "This link does not work" in answer.text
        assert "ada" not in answer.text
    assert await pages.rows() == before


async def test_a_link_is_revoked_with_the_links_of_its_recipient_and_when_the_recipient_is_forgotten(
    pages, ledger
):
    assert (await pages.get(path(OFF))).status_code == 200
    assert await people.revoke_links(ledger, "ada", "shop")
    assert not await people.revoke_links(ledger, "nobody", "shop")
    assert (await pages.post(path(OFF), data=ONE_CLICK)).status_code == 404
    newer = replace(OFF, generation=1)
    assert (await pages.get(path(newer))).status_code == 200
    await people.forget(ledger, "ada", "shop")
    assert (await pages.post(path(newer), data=ONE_CLICK)).status_code == 404
    await accept_all(ledger, [Candidate(NEWS, ask(to="ada"), client="shop")])
    for link in (OFF, newer):
        assert (await pages.post(path(link), data=ONE_CLICK)).status_code == 404


async def test_the_page_shows_what_applies_and_stores_what_is_changed_and_nothing_else(pages, ledger):
    await chosen.choose(
        ledger,
        "shop",
        "ada",
        {Category.PRODUCT: Preference(Cadence.parse("weekly on friday at 17:00"))},
        "api",
    )
    shown = (await pages.get(path(ADA))).text
    assert shown.count("<fieldset>") == 2
    assert 'value="weekly" selected' in shown
    assert "You always receive: Security · Orders and account" in shown
    form = {"cadence-product": "weekly", "cadence-marketing": "monthly", "channels-marketing": ["sms"]}
    answer = await pages.post(path(ADA), data=form)
    assert answer.status_code == 200
    assert "Saved" in answer.text
    assert 'value="monthly" selected' in answer.text
    found = await choice(ledger)
    assert (str(found.preference.cadence), found.preference.channels) == ("monthly on 1 at 09:00", ("sms",))
    assert (found.by, found.evidence[:17]) == ("preference page", "preference page, ")
    product = await choice(ledger, Category.PRODUCT)
    assert (str(product.preference.cadence), product.by) == ("weekly on friday at 17:00", "api")


async def test_a_form_that_changes_nothing_stores_nothing(pages, ledger):
    form = {
        "cadence-product": "at once",
        "cadence-marketing": "at once",
        "channels-marketing": ["email", "sms"],
    }
    assert (await pages.post(path(ADA), data=form)).status_code == 200
    assert await rows(ledger, preferences) == []


@pytest.mark.parametrize(
    "form",
    [
        {"cadence-security": "never"},
        {"cadence-marketing": "never", "cadence-transactional": "never"},
        {"cadence-marketing": "yearly"},
        {"cadence-marketing": ["never", "daily"]},
        {"cadence-marketing": "daily", "channels-marketing": "fax"},
        {"cadence-marketing": "never", "admin": "yes"},
        {"cadence-marketing": "never", **ONE_CLICK},
    ],
)
async def test_a_field_or_value_that_the_page_does_not_have_changes_nothing(pages, form):
    before = await pages.rows()
    assert (await pages.post(path(ADA), data=form)).status_code == 400
    assert await pages.rows() == before


async def test_what_was_turned_off_by_one_click_can_be_turned_on_on_the_page(pages, ledger):
    await pages.post(path(OFF), data=ONE_CLICK)
    shown = (await pages.get(path(ADA))).text
    assert 'value="never" selected' in shown
    await pages.post(path(ADA), data={"cadence-marketing": "at once", "channels-marketing": ["email", "sms"]})
    assert await rows(ledger, suppressions) == []
    assert (await choice(ledger)).preference == Preference(confirmed=True)


async def test_an_address_that_was_unsubscribed_under_another_id_is_shown_as_off(pages, ledger):
    await people.put(ledger, Profile(id="other", email="ada@a.example"), "shop")
    await first_links(ledger)
    await pages.post(path(OFF), data=ONE_CLICK)
    shown = (await pages.get(path(replace(ADA, key="other")))).text
    assert 'value="never" selected' in shown


async def test_a_recipient_who_wants_no_channel_gets_nothing(pages, ledger):
    await pages.post(path(ADA), data={"cadence-marketing": "daily"})
    assert str((await choice(ledger)).preference.cadence) == "never"


async def test_the_installations_terms_and_the_clients_choice_are_shown(ledger):
    await people.put(ledger, Profile(id="ada", email="ada@a.example"), "shop")
    terms = {
        Category.MARKETING: CategoryTerms(cadence="monthly"),
        Category.PRODUCT: CategoryTerms(optional=False),
    }
    async with pages_over(ledger, terms) as pages:
        shown = (await pages.get(path(ADA))).text
        assert 'value="monthly" selected' in shown
        assert shown.count("<fieldset>") == 1
        never = {Category.MARKETING: Preference(Cadence.parse("never"))}
        await chosen.choose(ledger, "shop", chosen.AUDIENCE, never, "api")
        assert 'value="never" selected' in (await pages.get(path(ADA))).text


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("de-AT", "Auswählen, was Sie erhalten"),
        ("fr", "Choisir ce que vous recevez"),
        ("es-MX", "Elegir qué recibe"),
        ("pt-BR", "Escolher o que recebe"),
        ("zh-Hans-CN", "选择接收的内容"),
        ("ja", "Choose what you receive"),
        (None, "Choose what you receive"),
    ],
)
async def test_a_page_is_in_the_recipients_language(ledger, locale, said):
    await people.put(ledger, Profile(id="ada", email="ada@a.example", locale=locale), "shop")
    async with pages_over(ledger) as pages:
        assert f"<h1>{said}</h1>" in (await pages.get(path(ADA))).text
        assert (
            f'<html lang="{locale[:2] if locale and locale != "ja" else "en"}">'
            in (await pages.get(path(ASKED))).text
        )


async def test_a_link_that_does_not_work_is_explained_in_the_browsers_language(pages):
    answer = await pages.get("/u/x", headers={"accept-language": "de-AT,de;q=0.9,en;q=0.8"})
    assert "Dieser Link funktioniert nicht" in answer.text


async def test_no_page_can_be_framed_scripted_cached_or_found(pages):
    for answer in [await pages.get(one) for one in (*map(path, (ADA, OFF, ASKED)), "/u/x")]:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; form-action 'self';")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"].startswith("noindex")
        assert "<script" not in answer.text
        assert "style=" not in answer.text
        assert "ada@a.example" not in answer.text


async def test_the_page_of_a_category_leads_nowhere_else(pages):
    assert "<a " not in (await pages.get(path(OFF))).text
    assert LINKS.token(ADA) not in (await pages.get(path(OFF))).text


async def test_a_page_is_in_its_brands_name_colours_and_logo(ledger):
    await people.put(ledger, Profile(id="ada", email="ada@a.example"), "shop")
    acme = {"sender": "Acme <m@acme.example>", "name": "Acme & Co", "accent": "#0b7285",
            "logo": "https://cdn.acme.example/logo.png", "accent_dark": "#66d9e8"}  # fmt: skip
    async with pages_over(ledger, brands={"acme": acme}) as pages:
        answer = await pages.get(path(replace(OFF, brand="acme")))
        assert "Acme &amp; Co will no longer send you" in answer.text
        assert "img-src https://cdn.acme.example;" in answer.headers["content-security-policy"]
        [href] = re.findall(r'href="\.\./(style\.css\?[^"]+)"', answer.text)
        css = (await pages.get("/" + href.replace("&amp;", "&"))).text
        assert "--accent: #0b7285" in css
        assert "--accent: #66d9e8" in css
        gone = await pages.get(path(replace(OFF, brand="gone")))
        assert (gone.status_code, "img-src" in gone.headers["content-security-policy"]) == (200, False)


@pytest.mark.parametrize("colour", ["red", "}body{", "0b728", "0b7285;}", ""])
async def test_the_stylesheet_takes_nothing_but_a_colour(pages, colour):
    answer = await pages.get("/style.css", params={"accent": colour, "dark": colour})
    assert answer.headers["content-type"].startswith("text/css")
    assert "--accent: #0f6b66;" in answer.text
    assert "ACCENT" not in answer.text


async def test_health_says_which_server_this_is(pages):
    assert (await pages.get("/healthz")).json() == {"status": "ok", "serves": "pages of recipients"}


async def test_a_taken_port_is_named_with_its_option(ledger):
    async with pages_over(ledger) as first:
        port = first.get.__self__.base_url.port
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}.*--public"):
            async with pages_over(ledger, where=ListenAddress(port=port, option="--public")):
                pass


async def said_to(pages, *parts):
    """What a connection is answered that sends these bytes, until it is closed."""
    url = pages.get.__self__.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.05)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return said


async def test_a_slow_client_is_not_waited_for(pages, monkeypatch):
    monkeypatch.setattr("waypost.gateway.pages.connection.PublicConnection.request_seconds", 0.5)
    head = f"POST {path(OFF)} HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nList"
    before = await pages.rows()
    assert (await said_to(pages, head.encode())).startswith(b"HTTP/1.1 408 ")
    assert await pages.rows() == before


async def test_a_long_head_is_refused(pages):
    assert (await said_to(pages, b"GET /u/", b"x" * 17_000)).startswith(b"HTTP/1.1 431 ")


async def test_an_address_is_in_no_log(pages, caplog):
    caplog.set_level("DEBUG")
    await pages.post(path(OFF), data=ONE_CLICK)
    await pages.get("/u/x")
    assert "ada@" not in caplog.text
    assert LINKS.token(OFF) not in "".join(
        r.getMessage() for r in caplog.records if r.name.startswith("waypost")
    )


async def test_without_a_database_a_page_says_to_try_again(pages, ledger):
    await ledger.write(
        lambda connection: connection.execute(sa.text("ALTER TABLE preferences RENAME TO gone"))
    )
    try:
        answer = await pages.get(path(ADA))
        assert answer.status_code in (500, 503)
        assert "Please try again in a few minutes" in answer.text
    finally:
        await ledger.write(
            lambda connection: connection.execute(sa.text("ALTER TABLE gone RENAME TO preferences"))
        )


async def test_the_link_in_a_mail_that_was_sent_turns_its_category_off(ledger, tmp_path):
    """A note is transactional, which this installation lets recipients turn off."""
    terms = {Category.TRANSACTIONAL: CategoryTerms(optional=True)}
    settings = SETTINGS.model_copy(
        update={"home": tmp_path, "public_url": "https://mail.shop.example", "categories": terms}
    )
    runtime = Runtime(settings, ledger, [channel := MemoryChannel()])
    await accept_all(ledger, [Candidate(NOTE, ask(f"{n}", to="ada"), client="shop") for n in range(3)])
    await run(runtime)
    mails = [message_from_bytes(one.content, policy=policy.default) for one in channel.sent]
    assert len({mail["List-Unsubscribe"] for mail in mails}) == 1
    assert mails[0]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = mails[0]["List-Unsubscribe"].strip("<>").removeprefix("https://mail.shop.example")
    await accept_all(ledger, [Candidate(NOTE, ask("later", to="ada"), client="shop")])
    context = PagesContext(ledger, Catalogue([NOTE], terms), Links(runtime.secret_key), brands(settings))
    async with served(context) as client:
        assert (await client.post(link, data=ONE_CLICK)).status_code == 200
    assert await states(ledger) == {("note", "ada", "sent"): 3, ("note", "ada", "suppressed"): 1}
    await runtime.recorder.close()


async def test_what_asks_for_consent_is_sent_after_the_link_of_a_mail_confirmed_it(ledger, tmp_path):
    terms = {Category.MARKETING: CategoryTerms(confirm=True)}
    settings = SETTINGS.model_copy(
        update={"home": tmp_path, "public_url": "https://mail.shop.example", "categories": terms}
    )
    runtime = Runtime(settings, ledger, [channel := MemoryChannel()])
    news = replace(NOTE, category=Category.MARKETING)

    async def offer(text):
        await accept_all(ledger, [Candidate(news, ask(text, to="ada"), client="shop")])
        await run(runtime, Priority.BULK, news, news)

    await offer("before")
    assert await states(ledger) == {("note", "ada", "suppressed"): 1}
    facts = OPT_IN.facts(category="marketing", subscription="Harbour news")
    request = Request[OPT_IN.facts](recipient=Recipient(id="ada", email="ada@a.example"), data=facts)
    await accept_all(ledger, [Candidate(OPT_IN, request, client="shop")])
    await run(runtime, allowed_as=OPT_IN, type=OPT_IN)
    [mail] = [message_from_bytes(one.content, policy=policy.default) for one in channel.sent]
    assert mail["List-Unsubscribe"] is None
    [link] = set(
        re.findall(r"https://mail\.shop\.example(/c/[\w-]+)", mail.get_body(("html",)).get_content())
    )
    catalogue = Catalogue([news, OPT_IN], terms)
    context = PagesContext(ledger, catalogue, Links(runtime.secret_key), brands(settings))
    async with served(context) as client:
        assert (await client.get(link)).status_code == 200
        await offer("still before")
        assert (await client.post(link, data=CONFIRM)).status_code == 200
        await offer("after")
        assert await people.revoke_links(ledger, "ada", "shop")
        assert (await client.post(link, data=CONFIRM)).status_code == 404
    assert await states(ledger) == {
        ("note", "ada", "suppressed"): 2,
        ("opt-in-confirmation", "ada", "sent"): 1,
        ("note", "ada", "sent"): 1,
    }
    await runtime.recorder.close()
