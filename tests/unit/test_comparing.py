"""What two sets of templates make of a notification is compared, and told without its values."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from waypost import Priority
from waypost.flows.signup_verification import TYPE as SIGNUP
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.rendering.comparing import Change, Mask, changes_between, placeholders
from waypost.rendering.template_set import Words

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def words(subject="Hello", plain="Read https://a.example/1\n", html="<p>Read</p>", short="Hi"):
    return Words(subject, plain, html, short)


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (words(), []),
        (words(subject="Other"), [Change.TEXT]),
        (words(plain="Read https://a.example/2\n"), [Change.LINK]),
        (words(html="<p>Read<img src='https://a.example/x.png'></p>"), [Change.LINK]),
        (words("Other", "Read https://a.example/2\n"), [Change.TEXT, Change.LINK]),
        (words(html="<p style='color:red'>Read</p>"), [Change.LAYOUT]),
        ("templates/x/body.txt, line 1: 'x' is undefined", [Change.MISSING]),
        ("templates/x/body.txt: 'dict object' has no attribute 'x'", [Change.MISSING]),
        ("templates/x/body.txt: ValueError while rendering", [Change.FAILED]),
    ],
)
def test_each_kind_of_change_is_known(after, changes):
    assert [change for change, *_ in changes_between(words(), after)] == changes


def test_a_notification_that_failed_before_and_fails_now_is_a_failure():
    assert [change for change, *_ in changes_between("old", "new")] == [Change.FAILED]


def test_no_value_of_a_notification_is_shown():
    person = ResolvedRecipient("k-1", "ada@a.example", None, "Ada Lovelace", "en", "UTC")
    data = {"lines": [{"product": "Rye & wheat\nSecond line", "price": 1190.5}], "vip": True}
    one = Notification(UUID(int=7), "x", Priority.NORMAL, person, data, 1, BEGAN, BEGAN + timedelta(hours=1))
    line = "Hello LOVELACE, Rye &amp; wheat for \u20ac1,190.50, second of ada@a.example"
    shown = Mask(one)(line)
    assert shown.startswith("Hello \u2026, \u2026 &amp; \u2026 for \u20ac")
    assert not {"LOVELACE", "Rye", "wheat", "190", "ada"} & set(shown.replace("@", " ").split())


def test_no_attribute_of_a_recipient_is_shown():
    known = {"plan": "Golden Eagle", "tags": ["Rye"]}
    person = ResolvedRecipient("k-1", None, None, "", "en", "UTC", known)
    one = Notification(UUID(int=7), "x", Priority.NORMAL, person, {}, 1, BEGAN, BEGAN + timedelta(hours=1))
    assert Mask(one)("the Golden Eagle, an eagle, rye") == "the \u2026, an \u2026, \u2026"


def test_minted_values_have_placeholders_of_their_declared_names():
    found = placeholders(SIGNUP)
    assert found == {
        "code": "[code]",
        "link": "https://waypost.invalid/link",
        "token": "[token]",
        "minutes": 15,
    }
