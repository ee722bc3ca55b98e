"""Money, dates and links as people read them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isfinite

import jinja2
import pytest

from waypost.rendering import filters
from waypost.rendering.template_files import TemplateError


def shown(expression, locale="en", timezone="UTC", **values):
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)
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
        ("UTC", "en", "1 Mar 2026, 11:30 pm"),
        ("UTC", "en-US", "Mar 1, 2026, 11:30 PM"),
        ("Europe/Berlin", "de", "02.03.2026, 00:30"),
        ("America/New_York", "en", "1 Mar 2026, 6:30 pm"),
        ("Asia/Kolkata", "en-GB", "2 Mar 2026, 05:00"),
    ],
)
def test_a_moment_is_told_in_the_readers_time_zone(timezone, locale, text):
    assert shown("moment | datetime", locale, timezone, moment=MOMENT) == text


@pytest.mark.parametrize(
    ("options", "timezone", "locale", "text"),
    [
        ("'long', seconds=True", "Europe/Berlin", "en", "2 March 2026, 12:30:00 am GMT+1"),
        ("'long', seconds=True", "Europe/Berlin", "de", "2. März 2026, 00:30:00 GMT+1"),
        ("'long', seconds=True", "Europe/Berlin", "es-MX", "2 de marzo de 2026, 12:30:00 a.m. GMT+1"),
        ("'long', seconds=True", "Europe/Berlin", "zh-CN", "2026年3月2日 GMT+1 00:30:00"),
        ("'full', seconds=True", "Europe/Berlin", "fr", "lundi 2 mars 2026, 00:30:00 GMT+1"),
        ("'long'", "Asia/Kolkata", "fr", "2 mars 2026, 05:00 GMT+5:30"),
        ("'long'", "America/St_Johns", "pt", "1 de março de 2026 20:00 GMT-3:30"),
        ("'long'", "UTC", "en-GB", "1 March 2026, 23:30 GMT"),
        ("", "UTC", "es", "1 mar 2026, 23:30"),
        ("'short'", "UTC", "de", "01.03.26, 23:30"),
    ],
)
def test_a_zone_is_an_offset_in_every_language_and_seconds_are_shown_if_asked_for(
    options, timezone, locale, text
):
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


@pytest.mark.parametrize(
    ("begin", "hours", "locale", "text"),
    [
        ((10, 25, 0), 1, "en", "25 Oct 2026, 2:00 am GMT+2 \u2013 25 Oct 2026, 2:00 am GMT+1"),
        ((10, 24, 12), 24, "de", "24.10.2026, 14:00 GMT+2 \u2013 25.10.2026, 13:00 GMT+1"),
        ((3, 29, 0), 1, "en", "29 Mar 2026, 1:00 am GMT+1 \u2013 29 Mar 2026, 3:00 am GMT+2"),
        ((10, 25, 1), 1, "en", "25 Oct 2026, 2:00 \u2013 3:00 am GMT+1"),
    ],
)
def test_a_period_in_which_the_clocks_change_has_both_zones(begin, hours, locale, text):
    since = datetime(2026, *begin, tzinfo=UTC)
    told = shown("a | period(b)", locale, "Europe/Berlin", a=since, b=since + timedelta(hours=hours))
    assert told.replace("\u2009", " ") == text


LANGUAGES = ("en", "de", "es", "fr", "pt", "zh")


@pytest.fixture
def at_the_moment(monkeypatch):
    monkeypatch.setattr(filters, "now", lambda: MOMENT)


@pytest.mark.usefixtures("at_the_moment")
@pytest.mark.parametrize(
    ("after", "texts"),
    [
        (
            timedelta(days=3),
            ("in 3 days", "in 3 Tagen", "dentro de 3 días", "dans 3 jours", "em 3 dias", "3天后"),
        ),
        (
            timedelta(hours=-2),
            ("2 hours ago", "vor 2 Stunden", "hace 2 horas", "il y a 2 heures", "há 2 horas", "2小时前"),
        ),
        (
            timedelta(),
            ("in 1 minute", "in 1 Minute", "dentro de 1 minuto", "dans 1 minute", "em 1 minuto", "1分钟后"),
        ),
    ],
)
def test_a_moment_is_told_by_its_distance_from_now(after, texts):
    told = tuple(shown("moment | relative", lang, moment=MOMENT + after) for lang in LANGUAGES)
    assert told == texts


@pytest.mark.usefixtures("at_the_moment")
@pytest.mark.parametrize(
    ("day", "timezone", "text"),
    [
        (4, "UTC", "in 3 days"),
        (4, "Europe/Berlin", "in 2 days"),  # there it is already the 2nd
        (2, "UTC", "in 1 day"),
        (1, "UTC", "1 March 2026"),
    ],
)
def test_a_date_is_told_in_days_of_the_readers_calendar(day, timezone, text):
    assert shown("day | relative", "en", timezone, day=date(2026, 3, day)) == text


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        (
            "['a', 'b', 'c'] | listed",
            ("a, b and c", "a, b und c", "a, b y c", "a, b et c", "a, b e c", "a、b和c"),
        ),
        (
            "['a', 'b', 'c'] | listed('or')",
            ("a, b or c", "a, b oder c", "a, b o c", "a, b ou c", "a, b ou c", "a、b或c"),
        ),
        ("['a', 2] | listed", ("a and 2", "a und 2", "a y 2", "a et 2", "a e 2", "a和2")),
        ("['{0}'] | listed", ("{0}",) * 6),
        ("[] | listed", ("",) * 6),
        ("['a', 'b', 'c', 'd', '{1}'] | listed", ("a, b, c, d and {1}", "a, b, c, d und {1}",
         "a, b, c, d y {1}", "a, b, c, d et {1}", "a, b, c, d e {1}", "a、b、c、d和{1}")),
    ],
)  # fmt: skip
def test_a_list_has_the_readers_words_and_commas(expression, texts):
    assert tuple(shown(expression, lang) for lang in LANGUAGES) == texts


def test_american_english_has_its_comma_before_and():
    assert shown("['a', 'b', 'c'] | listed", "en-US") == "a, b, and c"


def test_a_list_is_escaped_once():
    environment = jinja2.Environment(autoescape=True)
    environment.filters.update(filters.FILTERS)
    template = environment.from_string(
        "{% set b %}<b>{{ name }}</b>{% endset %}{{ [b, name] | listed }}|{{ [name] | listed }}"
    )
    text = template.render(name="<i>", recipient={"locale": "en", "timezone": "UTC"})
    assert text == "<b>&lt;i&gt;</b> and &lt;i&gt;|&lt;i&gt;"


def test_a_list_of_many_takes_time_by_its_length():
    assert len(shown("names | listed", names=["x" * 100] * 20_000)) == 20_000 * 102 + 1


@pytest.mark.parametrize(
    ("number", "locale", "text"),
    [
        ("+4917012345678", "de-DE", "0170 12345678"),
        ("+49 (170) 123-45678", "en-GB", "+49 170 12345678"),
        ("+442079460018", "en-GB", "020 7946 0018"),
        ("+442079460018", "en-US", "+44 20 7946 0018"),
        ("+17142533121", "en-US", "(714) 253-3121"),
        ("+17142533121", "fr-CA", "(714) 253-3121"),  # one numbering plan
        ("+34912345678", "es-ES", "912 34 56 78"),
        ("+33123456789", "fr-FR", "01 23 45 67 89"),
        ("+5511987654321", "pt-BR", "(11) 98765-4321"),
        ("+8613812345678", "zh-CN", "138 1234 5678"),
        ("0170 12345678", "de-DE", "0170 12345678"),
        ("+4917012345678", "de", "+49 170 12345678"),  # a language alone has no country
        ("0170 12345678", "de", "0170 12345678"),
        ("112", "de-DE", "112"),
        ("call us", "de-DE", "call us"),
        ("", "de-DE", ""),
        ("+" + "9" * 5000, "de-DE", "+" + "9" * 5000),
        ("0170/12345678", "de-DE", "0170 12345678"),
        ("+44 20 7946 0018 ext. 12", "en-GB", "020 7946 0018 x12"),
    ],
)
def test_a_phone_number_is_national_in_its_country_and_international_elsewhere(number, locale, text):
    assert shown("number | phone", locale, number=number) == text


@pytest.mark.parametrize(
    "text",
    [
        "0170 1234567 Anna",
        "49 170 12345678 (work)",
        "Order 4711 0815",
        "call +49 170 12345678",
        "Haus 12345678",
        "0800 FLOWERS",
        "+49 170 12345678, ask for Anna",
        "0170 1234567 x Anna",
    ],
)
@pytest.mark.parametrize("locale", ["de-DE", "en-US", "fr"])
def test_a_text_with_words_beside_a_number_stays_as_it_is(text, locale):
    assert shown("text | phone", locale, text=text) == text


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        (
            "naive | datetime",
            "datetime needs a moment with an offset from UTC; it got a moment without an offset",
        ),
        ("7 | datetime", "datetime needs a moment with an offset from UTC; it got a number"),
        (
            "naive | relative",
            "relative needs a date or a moment with an offset from UTC; it got a moment without",
        ),
        (
            "naive | period(naive)",
            "period needs a moment with an offset from UTC and another; it got a moment",
        ),
        ("'3 days' | relative", "relative needs a date or a moment with an offset from UTC; it got a text"),
        (
            "none | relative",
            "relative needs a date or a moment with an offset from UTC; it got nothing (None)",
        ),
        ("'secret' | listed", "listed needs a list; it got a text"),
        ("{'a': 1} | listed", "listed needs a list; it got an object"),
        ("7 | listed", "listed needs a list; it got a number"),
        ("17012345 | phone", "phone needs a text; it got a number"),
        ("letters | listed", "listed needs a list; it got a set"),
        ("nan | money('EUR')", "money needs an Amount and a currency such as EUR; it got a number that is"),
        ("1 | money(none)", "money needs an Amount and a currency such as EUR; it got a number and nothing"),
        ("{'name': 1} | address", "address needs an object with name, address, city and country; it got an"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_by_filter_and_kind(expression, told):
    with pytest.raises(TemplateError) as refused:
        shown(expression, naive=datetime(2026, 3, 1), letters={"a"}, nan=Decimal("NaN"))
    assert str(refused.value).startswith(f"the filter {told}")


TAKES = {  # what each filter shows
    "money('EUR')": (1, Decimal("1.5")),
    "number": (1, 1.5, Decimal("1.5")),
    "percent": (1, 1.5, Decimal("1.5")),
    "date": (date(2026, 3, 1), MOMENT, MOMENT.replace(tzinfo=None)),
    "datetime": (MOMENT,),
    "period(MOMENT)": (MOMENT,),
    "relative": (date(2026, 3, 1), MOMENT),
    "listed": ([], ()),
    "address": (),
    "phone": ("a",),
    "mailto": ("a",),
    "url": ("a",),
    "wordwrap": ("a",),
    "across('b')": ("a",),
}
KINDS = (
    None, True, False, 0, 1, 1.5, float("nan"), float("inf"), Decimal("1.5"), Decimal("NaN"),
    Decimal("-Infinity"), "a", b"a", [], (), set(), {},
    date(2026, 3, 1), MOMENT, MOMENT.replace(tzinfo=None), MOMENT.time(),
)  # fmt: skip


def is_taken(value, taken):
    return any(type(value) is type(one) and is_like(value, one) for one in taken)


def is_like(value, one):
    if isinstance(value, (float, Decimal)):
        return isfinite(value)
    return not isinstance(value, datetime) or (value.tzinfo is None) == (one.tzinfo is None)


def test_each_filter_is_tried_below():
    assert {name.partition("(")[0] for name in TAKES} == filters.FILTERS.keys()


@pytest.mark.parametrize("expression", TAKES)
@pytest.mark.parametrize("value", KINDS, ids=repr)
def test_a_filter_shows_its_kinds_alone_whatever_it_showed_before(expression, value):
    for one in TAKES[expression]:  # equal to some values of other kinds: 1 == True, 0 == -0
        shown(f"value | {expression}", value=one, MOMENT=MOMENT)
    if is_taken(value, TAKES[expression]):
        assert isinstance(shown(f"value | {expression}", value=value, MOMENT=MOMENT), str)
        return
    with pytest.raises(TemplateError, match=r"^the filter \w+ needs "):
        shown(f"value | {expression}", value=value, MOMENT=MOMENT)


@pytest.mark.parametrize("currency", ["k4n4ry", "eur", "", "EURO", "€"])
def test_what_is_no_currency_is_refused_without_repeating_it(currency):
    with pytest.raises(TemplateError) as refused:
        shown("5 | money(currency)", currency=currency)
    assert str(refused.value) == "the currency of the filter money is not an ISO 4217 currency such as EUR"


@pytest.mark.parametrize("value", [Decimal("-0"), Decimal("-0.0001"), -0.0, 0, Decimal(0)])
def test_nothing_has_no_sign(value):
    assert shown("value | number", value=value) == "0"
    assert shown("(value * 0) | percent", value=value) == "0%"
    assert shown("value | money('EUR')", value=Decimal(value)) == "€0.00"


def test_a_large_number_is_shown_to_its_last_digit():
    assert shown("value | number", value=10**30 + 1) == f"{10**30 + 1:,}"
    assert shown("value | number", value=Decimal(10**30 + 1)) == f"{10**30 + 1:,}"
    assert shown("value | percent", value=10**30) == f"{10**32:,}%"


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("moment | date('lang')", "the form of a date or a moment is short, medium, long or full"),
        ("moment | datetime('lang')", "the form of a date or a moment is short, medium, long or full"),
        ("moment | date(['long'])", "the form of a date or a moment is short, medium, long or full"),
        ("['a'] | listed(['or'])", 'the filter listed joins by "and" or "or"'),
        ("['a'] | listed('xor')", 'the filter listed joins by "and" or "or"'),
    ],
)
def test_an_unknown_option_is_refused_with_those_that_there_are(expression, told):
    with pytest.raises(TemplateError) as refused:
        shown(expression, moment=MOMENT)
    assert str(refused.value) == told


def test_the_date_of_a_moment_is_that_in_the_readers_time_zone():
    assert shown("moment | date", "en", "Europe/Berlin", moment=MOMENT) == "2 March 2026"
    assert shown("moment | date", "en", "Europe/Berlin", moment=MOMENT.replace(tzinfo=None)) == "1 March 2026"


@pytest.mark.parametrize("filter", TAKES)
def test_a_missing_value_is_named_by_its_name(filter):
    with pytest.raises(jinja2.UndefinedError, match="'missing' is undefined"):
        shown(f"missing | {filter}")


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
