"""Money, dates and links as people read them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import jinja2
import pytest

from waypost.rendering import filters


def shown(expression, locale="en", timezone="UTC", **values):
    environment = jinja2.Environment(autoescape=False)
    environment.filters.update(filters.FILTERS)
    recipient = {"locale": locale, "timezone": timezone}
    text = environment.from_string("{{ " + expression + " }}").render(recipient=recipient, **values)
    return text.replace("\xa0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        ("1234.5", "EUR", "de", "1.234,50 €"),
        ("1234.5", "EUR", "en", "€1,234.50"),
        ("1234.5", "EUR", "fr", "1 234,50 €"),
        ("1234.5", "BRL", "pt-BR", "R$ 1.234,50"),
        ("1234.5", "USD", "es", "1.234,50 US$"),
        ("1234.5", "JPY", "en", "¥1,234"),
        ("1234.5", "JPY", "ja", "￥1,234"),
        ("1.2345", "KWD", "de", "1,234 KWD"),
        ("1", "CHF", "de-CH", "CHF 1.00"),
        ("0", "EUR", "en", "€0.00"),
        ("9999999999999999.999999", "EUR", "en", "€10,000,000,000,000,000.00"),
    ],
)
def test_money_is_written_as_its_reader_writes_it(amount, currency, locale, text):
    assert shown("amount | money(currency)", locale, amount=Decimal(amount), currency=currency) == text


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.125", "EUR", "0.12"),
        ("0.135", "EUR", "0.14"),
        ("0.1250001", "EUR", "0.13"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("1.0005", "KWD", "1.000"),
        ("-0.125", "EUR", "-0.12"),
        ("0.1", "EUR", "0.10"),
    ],
)
def test_halves_go_to_even_in_the_smallest_unit(amount, currency, rounded):
    result = filters.rounded(Decimal(amount), currency)
    assert (result, str(result)) == (Decimal(rounded), rounded)


@pytest.mark.parametrize(
    ("expression", "locale", "text"),
    [
        ("1234567 | number", "de", "1.234.567"),
        ("1234567 | number", "en", "1,234,567"),
        ("part | percent", "de", "15 %"),
        ("part | percent", "en", "15%"),
    ],
)
def test_numbers_have_the_readers_separators(expression, locale, text):
    assert shown(expression, locale, part=Decimal("0.15")) == text


MOMENT = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timezone", "locale", "text"),
    [
        ("UTC", "en", "Mar 1, 2026, 11:30:00 PM"),
        ("Europe/Berlin", "de", "02.03.2026, 00:30:00"),
        ("America/New_York", "en", "Mar 1, 2026, 6:30:00 PM"),
        ("Asia/Kolkata", "en", "Mar 2, 2026, 5:00:00 AM"),
    ],
)
def test_a_moment_is_told_in_the_readers_time_zone(timezone, locale, text):
    assert shown("moment | datetime", locale, timezone, moment=MOMENT) == text


@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_date_is_the_same_day_everywhere(timezone):
    assert shown("day | date", "de", timezone, day=date(2026, 3, 1)) == "1. März 2026"


@pytest.mark.parametrize(
    "link",
    [
        "https://shop.example/a?b=c#d",
        "http://shop.example",
        "HTTPS://shop.example",
        "mailto:ada@a.example",
    ],
)
def test_a_safe_link_is_kept(link):
    assert filters.url(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "java\nscript:alert(1)",
        "java\r\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "\x00javascript:alert(1)",
        "\u200bjavascript:alert(1)",
        "\xa0javascript:alert(1)",
        "javascript&colon;alert(1)",
        "data:text/html,<script>",
        "vbscript:msgbox(1)",
        "file:///etc/passwd",
        "//evil.example",
        "/relative",
        "https",
        "http://[",
        "",
    ],
)
def test_any_other_link_leads_nowhere(link):
    assert filters.url(link) == "#"


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        ("de", "de"),
        ("pt-BR", "pt_BR"),
        ("pt_BR", "pt_BR"),
        ("pt-XX", "pt"),
        ("xx", "en"),
        ("xx-YY", "en"),
        ("", "en"),
    ],
)
def test_an_unknown_territory_leaves_the_language_and_an_unknown_language_english(name, locale):
    assert str(filters.babel_locale(name)) == locale
