"""The tokens of the links in mails: what they say, and that no other text is one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from waypost import Category, Priority
from waypost.model.mail_links import NO_LINKS
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.recipients.links import LONGEST, Link, Links, Page

LINKS = Links(b"a key of sixteen or more")
NEWS = Link("shop", "ada", Category.MARKETING, 3, "ada@a.example", "acme")
PAGE = replace(NEWS, category=None)
CONFIRM = replace(NEWS, confirms=True)
URL = "https://mail.shop.example"


def to(key="ada", email="ada@a.example", **more):
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    person = ResolvedRecipient(key, email, None, "Ada", "en", "UTC")
    return Notification(
        UUID(int=7), "note", Priority.NORMAL, person, {}, 1, moment, moment + timedelta(hours=1), **more
    )


@pytest.mark.parametrize(
    "link",
    [
        NEWS,
        PAGE,
        CONFIRM,
        Link("", f"mailto:#{32 * 'a'}", Category.ALERT),
        Link("", "mailto:ada@a.example", Category.ALERT, 0, "ada@a.example"),
        Link("", "mailto:ada@a.example", None, 0, "ada@a.example"),
        Link("shop", "tel:+491701234512"),
        Link("shop", 'ä"\x1f\n,漢', Category.PRODUCT, 2**31, "büro@a.example"),
    ],
)
def test_a_token_says_what_it_was_made_of(link):
    token = LINKS.token(link)
    assert LINKS.read(link.page, token) == link
    assert LINKS.token(link) == token


def test_a_token_shows_nothing_of_its_recipient():
    token = LINKS.token(NEWS)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert "ada" not in repr(NEWS)


@pytest.mark.parametrize(
    "other",
    [
        {"client": "bank"},
        {"key": "bob"},
        {"category": Category.PRODUCT},
        {"generation": 4},
        {"address": "b@a.example"},
    ],
)
def test_other_values_have_another_token_and_nonce(other):
    token, another = LINKS.token(NEWS), LINKS.token(replace(NEWS, **other))
    assert token[:16] != another[:16]
    assert LINKS.read(Page.UNSUBSCRIBE, token[:16] + another[16:]) is None


def test_a_token_opens_its_own_page_alone():
    for link in (NEWS, PAGE, CONFIRM):
        opens = [page for page in Page if LINKS.read(page, LINKS.token(link)) is not None]
        assert opens == [link.page]


def test_a_link_to_confirm_names_a_category():
    assert LINKS.read(Page.CONFIRM, LINKS.token(replace(PAGE, confirms=True))) is None


def test_another_installation_reads_no_token():
    assert Links(b"another key of sixteen").read(Page.UNSUBSCRIBE, LINKS.token(NEWS)) is None


def test_every_changed_letter_and_every_cut_is_noticed():
    token = LINKS.token(NEWS)
    for at, letter in enumerate(token):
        for other in "A" if letter != "A" else "B", "_" if letter != "_" else "-":
            assert LINKS.read(Page.UNSUBSCRIBE, token[:at] + other + token[at + 1 :]) is None
        assert LINKS.read(Page.UNSUBSCRIBE, token[:at]) is None


@pytest.mark.parametrize(
    "change", ["{}=", "{}==", " {}", "{}\n", "{}A", "{0}{0}", "{0}.{0}", "", "-", "漢", "%41"]
)
def test_a_token_has_one_spelling(change):
    token = LINKS.token(NEWS)
    assert LINKS.read(Page.UNSUBSCRIBE, change.format(token)) is None


def test_the_links_of_a_notification_are_of_its_category_recipient_and_generation():
    made = LINKS.of(to(client="shop", brand="acme", link_generation=3), Category.MARKETING, URL)
    assert made.unsubscribe == f"{URL}/u/{LINKS.token(NEWS)}"
    assert made.preferences == f"{URL}/p/{LINKS.token(PAGE)}"
    assert "https" not in repr(made)
    asking = to(client="shop", brand="acme", link_generation=3)
    assert LINKS.confirming(URL, asking, Category.MARKETING) == f"{URL}/c/{LINKS.token(CONFIRM)}"


def test_a_long_link_goes_without_its_address_and_a_longer_link_is_left_out():
    address = f"{'a' * 64}@{'b' * 180}.example"
    made = LINKS.of(to("k" * 400, address), Category.MARKETING, URL)
    assert len(made.unsubscribe) <= LONGEST
    read = LINKS.read(Page.UNSUBSCRIBE, made.unsubscribe.rpartition("/")[2])
    assert (read.key, read.address) == ("k" * 400, "")
    assert not LINKS.of(to("k" * 800), Category.MARKETING, URL).unsubscribe


def test_the_address_to_unsubscribe_by_mail_has_the_token_of_the_link():
    address = "stop+news@mail.shop.example"
    made = LINKS.of(to(client="shop"), Category.MARKETING, URL, address)
    token = made.unsubscribe.rpartition("/")[2]
    assert made.unsubscribe_by_mail == f"mailto:{address}?subject={token}"
    alone = LINKS.of(to(client="shop"), Category.MARKETING, None, address)
    assert (alone.unsubscribe, alone.preferences) == (made.unsubscribe_by_mail, "")
    longest = LINKS.of(to("k" * 430), Category.MARKETING, URL, f"{'a' * 64}@{'b' * 63}.example")
    assert len(longest.unsubscribe_by_mail) <= LONGEST
    assert LINKS.of(to("k" * 800), Category.MARKETING, URL, address) == NO_LINKS
