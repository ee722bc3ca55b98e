"""The shipped mails in every language: links, times, preheaders, subjects and headers."""

import re
from html import unescape

import pytest
from support.shipped_mails import (
    CODE,
    LANGUAGES,
    STOP,
    TYPES,
    alert_facts,
    digest_facts,
    held,
    order_facts,
    shown,
)

from waypost.flows.digest import compose
from waypost.model.brand import Brand
from waypost.rendering.filters import mailto

SUPPORT = "support@harbour.example"
every_language = pytest.mark.parametrize("lang", LANGUAGES)
every_type = pytest.mark.parametrize("type", TYPES)


def preheader(mail):
    """The hidden text, and its padding."""
    [found] = re.findall(r'<div\s+style="display:none;[^>]*>(.*?)</div>', mail.html, re.DOTALL)
    text = unescape(found).replace("\n", "")
    return text.rstrip("\xa0\u200c"), len(text) - len(text.rstrip("\xa0\u200c"))


def read(html):
    """What a reader of the HTML sees."""
    body = re.sub(r"<!--.*?-->|<style.*?</style>|<title.*?</title>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " ", body))


def links(html):
    return re.findall(r'href="([^"]*)"', html)


@every_language
def test_the_items_of_a_digest_link_to_their_alerts(lang):
    mail = shown("digest", lang)
    assert links(mail.html).count("https://status.harbour.example/alerts/4411") == 5
    assert mail.text.count("  https://status.harbour.example/alerts/4411\n") == 5


@every_language
def test_an_item_without_a_link_has_none(lang):
    mail = shown("digest", lang, compose([held(0, url=None)], held(1).accepted_at))
    assert links(mail.html) == []
    assert "https://" not in mail.text


@every_language
@pytest.mark.parametrize("type", ["alert", "digest"])
def test_the_zone_of_a_time_has_one_form(type, lang):
    mail = shown(type, lang)
    for text in (read(mail.html), mail.text):
        assert re.search(r"\bGMT\b" if lang == "pt" else r"\bGMT\+1\b", text)
        assert not re.search(r"[+-]\d{4}\b|CET|MEZ|UTC", text)


@every_language
def test_a_preheader_has_no_seconds(lang):
    text, _ = preheader(shown("alert", lang))
    assert re.search(r"\b0?[23]:14", text)
    assert ":09" not in text


@every_type
@every_language
def test_a_preheader_fills_an_inbox_line_and_can_be_read(type, lang):
    mail = shown(type, lang)
    text, padding = preheader(mail)
    assert text
    assert len(text) + padding > 150
    assert "color:#ffffff" not in mail.html.partition("</div>")[0].partition("<body")[2]


@every_language
def test_a_code_is_read_from_the_lock_screen_and_is_not_in_the_subject(lang):
    mail = shown("signup-verification", lang)
    assert preheader(mail)[0].startswith(f"{CODE} ")
    assert CODE not in mail.subject


@every_type
@every_language
def test_e_mail_is_not_broken_after_its_hyphen(type, lang):
    assert not re.search(r"\b[Ee]-[Mm]ail", read(shown(type, lang).html))


@every_language
@pytest.mark.parametrize("type", ["order-confirmation", "digest", "signup-verification"])
def test_a_subject_names_the_shop(type, lang):
    assert "Harbour Books" in shown(type, lang).subject


@every_language
def test_an_order_links_to_its_page_in_every_part(lang):
    mail = shown("order-confirmation", lang)
    page = order_facts()["order_url"]
    assert page in links(mail.html)
    assert page in mail.text
    assert mail.short.endswith(f" {page}")
    without = shown("order-confirmation", lang, order_url=None)
    assert (links(without.html), "http" in without.text + without.short) == ([], False)


@every_language
def test_an_address_is_the_same_in_both_parts(lang):
    mail = shown("order-confirmation", lang)
    for text in (read(mail.html), mail.text):
        assert "404 Juniper Loop Back door Alta Vista, NM 87999 United States" in " ".join(text.split())


@every_type
@every_language
def test_a_mail_names_the_address_for_questions(type, lang):
    mail = shown(type, lang, reply_to=f"Harbour Support <{SUPPORT}>")
    assert mail.mail["Reply-To"] == f"Harbour Support <{SUPPORT}>"
    assert f"mailto:{SUPPORT}" in links(mail.html)
    assert SUPPORT in mail.text.partition("\n-- \n")[2]
    without = shown(type, lang)
    assert "Reply-To" not in without.mail
    assert "mailto:" not in without.html


@every_language
def test_a_digest_says_how_to_stop_it(lang):
    mail = shown("digest", lang, reply_to=SUPPORT)
    assert mail.mail["List-Unsubscribe"] == f"<{STOP}>, <mailto:{SUPPORT}?subject=unsubscribe>"
    assert STOP in links(mail.html)
    assert STOP in mail.text


@pytest.mark.parametrize(
    ("reply_to", "stop", "header"),
    [
        ("", None, None),
        ("", STOP, f"<{STOP}>"),
        (SUPPORT, None, f"<mailto:{SUPPORT}?subject=unsubscribe>"),
        ("a&b%c@harbour.example", None, "<mailto:a%26b%25c@harbour.example?subject=unsubscribe>"),
        ("", "https://a.example/x?y=a|b^c", "<https://a.example/x?y=a%7Cb%5Ec>"),
    ],
)
def test_a_digest_has_no_more_in_its_header_than_was_given(reply_to, stop, header):
    facts = compose([held(0, unsubscribe_url=stop)], held(1).accepted_at)
    assert shown("digest", "en", facts, reply_to=reply_to).mail["List-Unsubscribe"] == header


def test_only_a_digest_can_be_unsubscribed_from():
    facts = alert_facts(unsubscribe_url=STOP)
    assert "List-Unsubscribe" not in shown("alert", "en", facts, reply_to=SUPPORT).mail


@every_language
def test_a_digest_says_the_date_of_its_range_once(lang):
    facts = digest_facts()
    one_day = shown("digest", lang, facts).text.splitlines()[1]
    assert one_day.count("2026") == 1
    two_days = shown("digest", lang, facts, until="2026-03-26T08:00:00Z").text.splitlines()[1]
    assert two_days.count("2026") == 2


@pytest.mark.parametrize("type", ["alert", "digest", "order-confirmation"])
def test_plain_english_writes_the_month_as_a_word_after_the_day(type):
    mail = shown(type, "en")
    for text in (read(mail.html), mail.text):
        assert re.search(r"\b\d{1,2} Mar(ch)? 2026", text)
        assert not re.search(r"\d/\d", text.replace("/var/lib/postgresql/16/main", ""))


@pytest.mark.parametrize(
    ("address", "link"),
    [
        (SUPPORT, f"mailto:{SUPPORT}"),
        ("a+b?c@a.example", "mailto:a+b%3Fc@a.example"),
        ("jörg@a.example", "mailto:j%C3%B6rg@a.example"),
    ],
)
def test_a_link_to_an_address_is_ascii(address, link):
    assert mailto(address) == link


@every_type
def test_a_mail_wears_its_brand(type):
    brand = Brand(
        "acme",
        "Acme <& Sons>",
        "Acme <a@acme.example>",
        logo="https://acme.example/logo.png",
        accent="#123456",
        accent_dark="#abcdef",
        postal_address=("1 Quay Lane", "Wells"),
        footer=("Company no. 1234567",),
    )
    mail, plain = shown(type, "de", brand=brand), shown(type, "de")
    assert re.search(r'<img src="https://acme.example/logo.png" alt="Acme &lt;&amp; Sons&gt;"', mail.html)
    assert "\nCompany no. 1234567\n1 Quay Lane\nWells" in mail.text
    lines = ("Company no. 1234567", "1 Quay Lane", "Wells")
    assert "<br />".join(f'<span dir="auto">{line}</span>' for line in lines) in mail.html
    assert "background: #abcdef !important" in mail.html
    assert ("#123456" in mail.html) == ('class="button"' in plain.html)
    assert "<img" not in plain.html


@every_type
@every_language
def test_a_mail_is_far_below_what_gmail_clips(type, lang):
    assert len(shown(type, lang).html.encode()) < 40_000
