"""How a mail says what its recipient can do: the headers of RFC 8058, and the footer."""

import re
from dataclasses import replace

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.shipped_mails import LANGUAGES, STOP, TYPES, held, renderer, shown
from support.shipped_types import sample

from waypost import Category
from waypost.config.settings import Settings
from waypost.deployments.doctor.categories import category_findings
from waypost.deployments.doctor.pages import answering, ending_early, lacking
from waypost.flows.digest import compose
from waypost.gateway.pages.wording import FOLDER, environment, language_accepted, languages
from waypost.mail.dkim import Signer
from waypost.model.category import CategoryTerms
from waypost.model.mail_links import NO_LINKS, MailLinks
from waypost.model.notification import ResolvedRecipient
from waypost.recipients.batch_links import links_of_each
from waypost.rendering.catalogues import parsed
from waypost.rendering.checks.rendered_samples import notification_of
from waypost.rendering.messages import render_one
from waypost.rendering.samples import Sample
from waypost.system.ids import new_id

OFF, PAGE = "https://mail.shop.example/u/TOKEN", "https://mail.shop.example/p/TOKEN"
LINKS = MailLinks(OFF, PAGE)
PUBLIC = "https://mail.shop.example"
every_language = pytest.mark.parametrize("lang", LANGUAGES)


def unsubscribing(mail):
    return mail.mail["List-Unsubscribe"], mail.mail["List-Unsubscribe-Post"]


@every_language
def test_headers_and_footer_appear_with_the_links_and_only_with_them(lang):
    mail = shown("alert", lang, links=LINKS)
    assert unsubscribing(mail) == (f"<{OFF}>", "List-Unsubscribe=One-Click")
    footer = mail.text.partition("\n-- \n")[2]
    for link in (OFF, PAGE):
        assert mail.html.count(f'href="{link}"') == 1
        assert footer.splitlines().count(f"  {link}") == 1
    without = shown("alert", lang)
    assert unsubscribing(without) == (None, None)
    assert "mail.shop.example" not in without.html + without.text


@every_language
@pytest.mark.parametrize("type", TYPES)
def test_a_mail_has_one_link_to_unsubscribe_and_one_to_the_page(type, lang):
    mail = shown(type, lang, links=LINKS)
    own = {STOP, sample(type).get("unsubscribe_url")} - {None}
    found = [link for link in re.findall(r'href="([^"]+)"', mail.html) if link in {OFF, *own}]
    assert len(found) == 1
    assert mail.html.count(f'href="{PAGE}"') == 1


def digest(stop):
    return compose([held(0, unsubscribe_url=stop)], held(1).accepted_at)


def test_a_types_own_https_page_stands_alone_in_the_header_and_in_the_footer():
    mail = shown("digest", "en", digest(STOP), reply_to="help@shop.example", links=LINKS)
    assert unsubscribing(mail) == (f"<{STOP}>, <mailto:help@shop.example?subject=unsubscribe>", None)
    assert OFF not in mail.html + mail.text
    assert PAGE in mail.html
    assert PAGE in mail.text


def test_ours_stands_in_front_of_a_types_own_mailto_address():
    mail = shown("digest", "en", digest(None), reply_to="help@shop.example", links=LINKS)
    header, post = unsubscribing(mail)
    assert re.sub(r"\s+", " ", header) == f"<{OFF}>, <mailto:help@shop.example?subject=unsubscribe>"
    assert post == "List-Unsubscribe=One-Click"


def test_over_http_on_this_machine_there_is_no_one_click():
    """RFC 8058, section 3.1: the address is https."""
    local = MailLinks("http://127.0.0.1:8090/u/TOKEN", "http://127.0.0.1:8090/p/TOKEN")
    mail = shown("alert", "en", links=local)
    assert unsubscribing(mail) == (f"<{local.unsubscribe}>", None)


BY_MAIL = "mailto:unsubscribe@mail.shop.example?subject=OTHER"


def test_the_address_to_unsubscribe_by_mail_stands_behind_the_link_and_before_a_types_own():
    both = replace(LINKS, unsubscribe_by_mail=BY_MAIL)
    mail = shown("digest", "en", digest(None), reply_to="help@shop.example", links=both)
    header, post = unsubscribing(mail)
    own = "mailto:help@shop.example?subject=unsubscribe"
    assert re.sub(r"\s+", " ", header) == f"<{OFF}>, <{BY_MAIL}>, <{own}>"
    assert post == "List-Unsubscribe=One-Click"
    assert BY_MAIL not in mail.html + mail.text
    assert set(both.tokens.values()) == {"TOKEN", "OTHER"}


@every_language
def test_without_pages_the_footer_has_the_address_to_unsubscribe_by_mail(lang):
    mail = shown("alert", lang, links=MailLinks(unsubscribe=BY_MAIL, unsubscribe_by_mail=BY_MAIL))
    assert unsubscribing(mail) == (f"<{BY_MAIL}>", None)
    assert mail.html.count(f'href="{BY_MAIL}"') == 1
    assert mail.text.partition("\n-- \n")[2].splitlines().count(f"  {BY_MAIL}") == 1


def rendered(**changes):
    type, person = TYPES["alert"], ResolvedRecipient("ada", "ada@a.example", None, "Ada", "en", "UTC")
    notification = replace(alert(), recipient=person)
    return render_one(replace(renderer(), **changes), type, notification, {}, (), LINKS).messages["email"]


def alert():
    return notification_of(TYPES["alert"], Sample("sample.json", sample("alert")), "en")


def test_both_headers_are_signed_and_the_tokens_are_removed_from_replies():
    """RFC 8058, section 4."""
    message = rendered(signers=[Signer("harbour.example", "s1", Ed25519PrivateKey.generate())])
    signature = message.content.partition(b"\r\nFrom:")[0].lower()
    fields = re.sub(rb"\s+", b"", re.search(rb"\bh=([^;]+)", signature)[1]).split(b":")
    assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= set(fields)
    assert "TOKEN" in message.private


class Installation:
    secret_key = b"a key of sixteen or more"

    def __init__(self, **settings):
        self.settings = Settings(**settings)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("category", "settings", "has_links"),
    [
        (Category.MARKETING, {}, False),
        (Category.MARKETING, {"public_url": "https://mail.shop.example/"}, True),
        (Category.SECURITY, {"public_url": "https://mail.shop.example"}, False),
        (Category.TRANSACTIONAL, {"public_url": "https://mail.shop.example"}, False),
        (
            Category.MARKETING,
            {
                "public_url": "https://mail.shop.example",
                "categories": {"marketing": CategoryTerms(optional=False)},
            },
            False,
        ),
    ],
)
async def test_a_category_has_links_if_it_may_be_turned_off_and_there_is_an_address(
    category, settings, has_links
):
    one = alert()
    found = await links_of_each(Installation(**settings), replace(TYPES["alert"], category=category), [one])
    assert bool(found) is has_links
    if found:
        assert found[one.id].unsubscribe.startswith("https://mail.shop.example/u/")


@pytest.mark.anyio
async def test_links_that_cannot_be_made_fail_their_notification_alone():
    bad, good = (replace(alert(), id=new_id(), client=client) for client in ("half a pair \ud800", "shop"))
    type = replace(TYPES["alert"], category=Category.MARKETING)
    found = await links_of_each(Installation(public_url="https://mail.shop.example"), type, [bad, good])
    assert str(found[bad.id]) == "making links failed unexpectedly: UnicodeEncodeError (see the log)"
    assert found[good.id].unsubscribe.startswith("https://mail.shop.example/u/")


ASKING = TYPES["opt-in-confirmation"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("asked", "settings", "has_link"),
    [
        ("marketing", {"public_url": PUBLIC}, True),
        ("transactional", {"public_url": PUBLIC}, True),
        ("marketing", {}, False),
        ("security", {"public_url": PUBLIC}, False),
        (
            "marketing",
            {"public_url": PUBLIC, "categories": {"marketing": CategoryTerms(mandatory=True)}},
            False,
        ),
    ],
)
async def test_a_mail_that_asks_to_confirm_has_its_link_or_fails_with_the_reason(asked, settings, has_link):
    facts = {**sample(ASKING.name), "category": asked}
    one = notification_of(ASKING, Sample("sample.json", facts), "en")
    found = (await links_of_each(Installation(**settings), ASKING, [one])).get(one.id, NO_LINKS)
    assert found.confirm.startswith(f"{PUBLIC}/c/") is has_link
    assert not found.unsubscribe
    made = render_one(renderer(), ASKING, one, {}, (), found)
    if has_link:
        assert found.confirm in made.messages["email"].content.decode().replace("=\r\n", "")
    else:
        assert not made.messages
        assert made.error == (
            "it has no link to confirm: set WAYPOST_PUBLIC_URL, and name a category that is not mandatory"
        )


def test_what_a_type_confirms_is_one_of_its_facts():
    with pytest.raises(ValueError, match="confirms names no fact: kind"):
        replace(ASKING, confirms="kind")


@pytest.mark.parametrize(
    "wrong",
    [
        "mail.shop.example",
        "http://mail.shop.example",
        "https://",
        "https://a.example/?x=1",
        "https://a.example/#x",
        "https://u:p@a.example",
        "https://a.example/ä",
        "https://a.example/" + "x" * 200,
    ],
)
def test_a_public_address_that_mails_cannot_name_is_refused_with_a_sentence(wrong):
    with pytest.raises(ValueError, match=r"not an https:// address such as https://mail\.shop\.example"):
        Settings(public_url=wrong)


@pytest.mark.parametrize(
    "right",
    ["https://a.example", "https://a.example/mail", "http://127.0.0.1:8090", "http://localhost:8090/"],
)
def test_a_public_address_ends_without_a_slash(right):
    assert Settings(public_url=right).public_url == right.rstrip("/")


def test_without_an_address_a_note_names_the_types_that_cannot_be_turned_off():
    news = replace(TYPES["alert"], name="news", category=Category.MARKETING)
    [note] = lacking(Settings(), [news, TYPES["alert"]])
    assert (note.level, "mails of news have no link" in note.found) == ("note", True)
    assert lacking(Settings(), [TYPES["alert"]]) == []


CONFIRM = CategoryTerms(confirm=True)


@pytest.mark.parametrize(
    ("categories", "found"),
    [
        ({}, []),
        ({"security": CategoryTerms(mandatory=True)}, []),
        ({"security": CategoryTerms(quiet_hours="22:00-08:00")}, []),
        ({"security": CategoryTerms(mandatory=False)}, ["security is not mandatory"]),
        ({"marketing": CONFIRM, "product": CONFIRM}, ["recipients cannot confirm product, marketing"]),
        ({"security": CONFIRM}, []),
        (
            {"security": CategoryTerms(mandatory=False, confirm=True)},
            ["security is not mandatory", "recipients cannot confirm security"],
        ),
    ],
)
def test_doctor_notes_categories_that_stop_what_somebody_may_need(categories, found):
    notes = category_findings(Settings(categories=categories))
    assert [(one.level, one.found[: len(start)]) for one, start in zip(notes, found, strict=True)] == [
        ("note", start) for start in found
    ]


def test_where_there_are_pages_a_category_can_be_confirmed():
    assert category_findings(Settings(categories={"marketing": CONFIRM}, public_url=PUBLIC)) == []


@pytest.mark.parametrize(("days", "levels"), [(None, []), (30, []), (29, ["note"])])
def test_a_short_retention_that_ends_links_is_noted(days, levels):
    assert [one.level for one in ending_early(Settings(retention_days=days))] == levels


ALIVE = {"status": "ok", "serves": "pages of recipients"}


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (httpx.Response(200, json=ALIVE), "ok", "leads to the pages of recipients"),
        (httpx.Response(200, json={"status": "ok"}), "bad", "leads to the API of a gateway"),
        (httpx.Response(200, text="Welcome to nginx"), "bad", "leads to another program (HTTP 200)"),
        (httpx.Response(404, json=ALIVE), "bad", "leads to another program (HTTP 404)"),
    ],
)
def test_doctor_tells_the_pages_from_other_programs(answer, level, said):
    found = answering("https://mail.shop.example", answer)
    assert (found.level, said in found.found, bool(found.advice)) == (level, True, level == "bad")


def texts_of_pages():
    for file in FOLDER.glob("*.html"):
        for _, _, text in environment("en").extract_translations(file.read_text()):
            yield text[0] if isinstance(text, tuple) else text


@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang != "en"])
def test_the_pages_are_translated_whole_and_into_nothing_else(lang):
    [file] = (FOLDER / "_locales" / lang / "LC_MESSAGES").glob("*.po")
    catalogue = {message.id: message.string for message in parsed(file, lang) if message.id}
    assert set(catalogue) == set(texts_of_pages())
    for text, translation in catalogue.items():
        assert translation
        assert set(re.findall(r"%\(\w+\)s", text)) == set(re.findall(r"%\(\w+\)s", translation))


def test_the_pages_have_the_languages_of_the_mails():
    assert set(languages()) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("de-AT,de;q=0.9", "de"),
        ("ja,pt;q=0.5", "pt"),
        ("", "fr"),
        ("*", "fr"),
        (",;,=", "fr"),
        ("x" * 9999, "fr"),
        ("../../de", "fr"),
    ],
)
def test_the_language_of_a_stranger_is_that_of_their_browser(header, lang):
    assert language_accepted(header, "fr") == lang
