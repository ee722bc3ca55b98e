"""Mails in a language that is written from right to left mirror the others in a real browser."""

import pytest
from support.mail_layout import measured
from support.shipped_mails import TEMPLATES, TYPES, shown
from support.templates import catalogue

from waypost.rendering.catalogue_update import texts_in
from waypost.rendering.live_templates import Templates

pytestmark = pytest.mark.long

PHONE, DESK = 320, 700
# The other texts are English in its catalogue.
HEBREW = {
    "Hello %(name)s,": "שלום %(name)s,",
    "Item": "פריט",
    "Qty": "כמות",
    "Amount": "סכום",
    "Subtotal": "סכום ביניים",
    "Shipping": "משלוח",
    "Total": "סך הכול",
    "Ship to": "כתובת למשלוח",
    "View your order": "הצגת ההזמנה",
    "Order %(order)s confirmed": "הזמנה %(order)s אושרה",
    "We have handed your order %(order)s over to %(carrier)s.": "ההזמנה %(order)s נמסרה אל %(carrier)s.",
    "Carrier": "חברת שילוח",
    "Open alert": "פתיחת ההתראה",
    "Started": "התחלה",
    ("%(amount)s alert", "%(amount)s alerts"): ("התראה %(amount)s", "%(amount)s התראות", "%(amount)s התראות"),
    "Confirm your new e\u2011mail address": "אישור כתובת הדואר החדשה",
    "Confirm your e\u2011mail address": "אישור כתובת הדואר",
    "Or confirm with one click:": "או אישור בלחיצה אחת:",
    "Accept invitation": "קבלת ההזמנה",
    "Your balance is low": "היתרה נמוכה",
    "Renew membership": "חידוש החברות",
    "New sign-in to your account": "כניסה חדשה לחשבון",
    "Secure account": "אבטחת החשבון",
    "Device": "מכשיר",
    "Choose a new password": "בחירת סיסמה חדשה",
    "Check payment details": "בדיקת פרטי התשלום",
    "It can take a few days until the amount appears on your account.": "הזיכוי יופיע בתוך כמה ימים.",
    "If you are not signing in at the moment, ignore this mail.": "אם לא ניסית להיכנס, אפשר להתעלם.",
    "Get started": "מתחילים",
    "Unsubscribe from these digests": "ביטול ההרשמה",
    "If the button does not work, open this link:": "אם הכפתור אינו פועל, פתחו את הקישור:",
}  # fmt: skip


def english():
    """Every text of the shipped templates as its own translation, in the three forms of Hebrew."""
    return {
        source[0] if len(source) == 1 else tuple(source): source[0]
        if len(source) == 1
        else (*source, source[1])
        for (context, _), source, _ in texts_in(TEMPLATES.files.folders[0])
        if not context
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hebrew")
    catalogue(folder, "he", {**english(), **HEBREW})
    templates = Templates((folder, *TEMPLATES.files.folders))
    pages = {
        f"{type} {lang}": shown(type, lang, templates=templates, reply_to="support@harbour.example").html
        for type in TYPES
        for lang in ("en", "he")
    }
    return measured(pages, (PHONE, DESK), folder)


@pytest.fixture(params=TYPES)
def pair(request, found):
    """Of a type, the mail in English and in Hebrew on a desk's screen."""
    return found[f"{DESK} {request.param} en"], found[f"{DESK} {request.param} he"]


def test_a_hebrew_mail_is_written_from_right_to_left(pair):
    assert [one["direction"] for one in pair] == ["ltr", "rtl"]


def test_every_padding_and_alignment_is_mirrored(pair):
    english, hebrew = pair
    assert hebrew["sides"] == english["sides"]


def test_the_words_above_and_below_the_card_are_in_line_with_its_own(pair):
    english, hebrew = pair
    assert {*hebrew["right"]} == {DESK - english["left"][0]}


def test_an_address_keeps_the_order_of_its_own_words(found):
    """In a line from right to left, the number of 404 Juniper Loop would stand behind its street."""
    for lang in ("en", "he"):
        words = found[f"{DESK} order-confirmation {lang}"]["house"]
        assert words["number"] < words["street"]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_scrolls_sideways_and_no_words_of_a_row_touch(found, width):
    hebrew = {
        name: one for name, one in found.items() if name.startswith(f"{width} ") and name.endswith(" he")
    }
    assert len(hebrew) == len(TYPES)
    wrong = {
        name: one["touching"] or one["width"]
        for name, one in hebrew.items()
        if one["touching"] or one["width"] > width
    }
    assert wrong == {}
