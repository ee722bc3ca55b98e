"""Money, dates and links as people read them."""

from datetime import UTC, date, datetime, timedelta
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
        ("UTC", "en", "1 Mar 2026, 11:30:00 pm"),
        ("UTC", "en-US", "Mar 1, 2026, 11:30:00 PM"),
        ("Europe/Berlin", "de", "02.03.2026, 00:30:00"),
        ("America/New_York", "en", "1 Mar 2026, 6:30:00 pm"),
        ("Asia/Kolkata", "en-GB", "2 Mar 2026, 05:00:00"),
    ],
)
def test_a_moment_is_told_in_the_readers_time_zone(timezone, locale, text):
    assert shown("moment | datetime", locale, timezone, moment=MOMENT) == text


@pytest.mark.parametrize(
    ("options", "timezone", "locale", "text"),
    [
        ("'long'", "Europe/Berlin", "en", "2 March 2026, 12:30:00 am GMT+1"),
        ("'long'", "Europe/Berlin", "de", "2. März 2026, 00:30:00 GMT+1"),
        ("'long'", "Europe/Berlin", "es-MX", "2 de marzo de 2026, 12:30:00 a.m. GMT+1"),
        ("'long'", "Europe/Berlin", "zh-CN", "2026年3月2日 GMT+1 00:30:00"),
        ("'full'", "Europe/Berlin", "fr", "lundi 2 mars 2026, 00:30:00 GMT+1"),
        ("'long', seconds=False", "Asia/Kolkata", "fr", "2 mars 2026, 05:00 GMT+5:30"),
        ("'long', seconds=False", "America/St_Johns", "pt", "1 de março de 2026 20:00 GMT-3:30"),
        ("'long', seconds=False", "UTC", "en-GB", "1 March 2026, 23:30 GMT"),
        ("seconds=False", "UTC", "es", "1 mar 2026, 23:30"),
        ("'short', seconds=False", "UTC", "de", "01.03.26, 23:30"),
    ],
)
def test_a_zone_is_an_offset_in_every_language_and_seconds_may_be_left_out(options, timezone, locale, text):
    assert shown(f"moment | datetime({options})", locale, timezone, moment=MOMENT) == text


@pytest.mark.parametrize(
    ("minutes", "timezone", "locale", "text"),
    [
        (1, "UTC", "en-US", "Mar 1, 2026, 11:30 \u2013 11:31 PM GMT"),
        (1, "Europe/Berlin", "de", "02.03.2026, 00:30\u201300:31 Uhr GMT+1"),
        (0, "Europe/Berlin", "fr", "2 mars 2026, 00:30 GMT+1"),
        (60, "UTC", "es", "1 mar 2026, 23:30 \u2013 2 mar 2026, 0:30 GMT"),
        (60, "Europe/Lisbon", "en", "1 Mar 2026, 11:30 pm \u2013 2 Mar 2026, 12:30 am GMT"),
    ],
)
def test_a_period_has_its_date_and_zone_once(minutes, timezone, locale, text):
    until = MOMENT + timedelta(minutes=minutes)
    told = shown("moment | period(until)", locale, timezone, moment=MOMENT, until=until)
    assert told.replace("\u2009", " ") == text


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
