"""Money, dates, numbers, lists and addresses as people write them (Babel), and links that are safe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel import dates as babel_dates
from babel import numbers as babel_numbers
from babel.lists import format_list
from jinja2 import Environment, pass_context, pass_environment
from jinja2.filters import do_wordwrap
from jinja2.runtime import Context
from markupsafe import Markup, escape

from waypost.model.money import exact, known_currency
from waypost.rendering.bounds import MOST_REPEATED, WIDE, TooLarge, check_breaks
from waypost.rendering.filter_values import CHECKS
from waypost.rendering.phone_number import written_for
from waypost.rendering.postal_address import address_lines
from waypost.rendering.template_files import TemplateError
from waypost.system.clock import now

_SAFE_SCHEMES = {"http", "https", "mailto"}


@cache
def babel_locale(name: str) -> Locale:
    """Babel's locale for `pt-BR` or `pt_BR`; only its language if the territory is unknown, and English
    if the language is unknown too."""
    tag = name.replace("-", "_")
    for candidate in (tag, tag.partition("_")[0]):
        try:
            return Locale.parse(candidate)
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse("en")


def rounded(amount: Decimal, currency: str) -> Decimal:
    """`amount` rounded to the currency's smallest unit, halves to even, as Decimal and Babel do."""
    digits = babel_numbers.get_currency_precision(currency)
    with exact():
        return _rounded(amount, digits)


def _rounded(amount: Decimal, digits: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN) + 0  # -0 is 0


# Babel is half the cost of an order, and the same amounts recur: in the HTML and the plain part of
# one mail, and from order to order.
_REMEMBERED = 20_000


def _reader(context: Context) -> str:
    # From the run's own context: a lookup through the template's variables takes as long as all the rest.
    return context.parent["recipient"]["locale"]


@pass_context
def money(context: Context, amount: Decimal | int, currency: str) -> str:
    """An amount such as `1.234,50 €`: exact, rounded only here."""
    try:
        return _money(amount, currency, _reader(context))
    except TypeError:  # it cannot be hashed, so it is of a wrong kind
        CHECKS["money"](amount, currency)
        raise


@lru_cache(_REMEMBERED, typed=True)
def _money(amount: Decimal | int, currency: str, locale: str) -> str:
    CHECKS["money"](amount, currency)  # once for equal amounts: an order shows dozens
    try:
        exactly = rounded(Decimal(amount), known_currency(currency))
        return babel_numbers.format_currency(exactly, currency, locale=babel_locale(locale))
    except ValueError as error:
        raise TemplateError(f"the currency of the filter money is {error}") from None


@pass_context
def number(context: Context, value: Decimal | float) -> str:
    """A number with the recipient's separators, and three digits behind the point at most."""
    try:
        return _number(value, _reader(context))
    except TypeError:  # as for money
        CHECKS["number"](value)
        raise


@lru_cache(_REMEMBERED, typed=True)
def _number(value: Decimal | float, locale: str) -> str:
    CHECKS["number"](value)
    with exact():
        shown = _rounded(Decimal(str(value)), _DIGITS)
        return babel_numbers.format_decimal(shown, locale=babel_locale(locale))


_DIGITS = 3  # behind the point, in every locale of Babel


@pass_context
def percent(context: Context, fraction: Decimal | float) -> str:
    """`0.15` as `15 %`."""
    CHECKS["percent"](fraction)
    return _percent(fraction, _reader(context))


@lru_cache(_REMEMBERED, typed=True)
def _percent(fraction: Decimal | float, locale: str) -> str:
    with exact():
        shown = Decimal(str(fraction)) + 0  # -0 is 0
        return babel_numbers.format_percent(shown, locale=babel_locale(locale), decimal_quantization=False)


@pass_context
def local_date(context: Context, value: date, form: str = "long") -> str:
    """A date spelled out; `form` is Babel's short, medium, long or full. A moment's date is that in the
    recipient's time zone."""
    CHECKS["date"](value)
    if isinstance(value, datetime):
        value = _local(context, value).date() if value.tzinfo else value.date()
    return _date(value, _known(form), _reader(context))


@lru_cache(_REMEMBERED)
def _date(value: date, form: str, locale: str) -> str:
    return babel_dates.format_date(value, format=form, locale=_dates_locale(locale))  # pyright: ignore[reportArgumentType]


def _known(form: str) -> str:
    """`form`, if it is one of Babel's. Raises TemplateError."""
    if form not in ("short", "medium", "long", "full"):
        raise TemplateError("the form of a date or a moment is short, medium, long or full")
    return form


def _dates_locale(name: str) -> Locale:
    """The locale of a date: English without a country is international, as 11/28/26 is American."""
    return babel_locale("en-001" if name == "en" else name)


@pass_context
def local_datetime(context: Context, value: datetime, form: str = "medium", seconds: bool = False) -> str:
    """A moment in the recipient's time zone. The forms long and full name the zone: `GMT+1`."""
    CHECKS["datetime"](value)
    return _moment(_local(context, value), _known(form), seconds, _reader(context))


@pass_context
def period(context: Context, since: datetime, until: datetime) -> str:
    """`28 Nov 2026, 3:36 - 3:37 pm GMT+1`: the date once if both moments are on it, and the zone once; both
    twice if the clocks change between them."""
    CHECKS["period"](since, until)
    begin, end = (_local(context, one) for one in (since, until))
    reader = _reader(context)
    if begin.utcoffset() != end.utcoffset():
        return " \u2013 ".join(
            f"{_moment(one, 'medium', False, reader)} {_offset(one)}" for one in (begin, end)
        )
    if begin.date() == end.date():
        locale = _dates_locale(reader)
        told = _joined(_date(begin.date(), "medium", reader), _hours(begin, end, locale), "medium", locale)
    else:
        told = " \u2013 ".join(_moment(one, "medium", False, reader) for one in (begin, end))
    return f"{told} {_offset(end)}"


@pass_context
def relative(context: Context, value: date) -> str:
    """How far a moment is from now, as `in 3 days` or `2 hours ago`, in minutes at least. Now is when the
    message is rendered, just before it is sent; a deferred message is rendered again in its next run.

    A date counts in whole days of the recipient's time zone; today is the date itself, long."""
    CHECKS["relative"](value)
    if isinstance(value, datetime):
        return _distance(value - now(), "minute", context)
    days = value - _local(context, now()).date()
    return _distance(days, "day", context) if days else _date(value, "long", _reader(context))


def _distance(distance: timedelta, least: Literal["minute", "day"], context: Context) -> str:
    shown = distance or timedelta(seconds=1)  # Babel would write 0 minutes
    locale = babel_locale(_reader(context))
    return babel_dates.format_timedelta(shown, granularity=least, add_direction=True, locale=locale)


def _local(context: Context, value: datetime) -> datetime:
    return value.astimezone(ZoneInfo(context["recipient"]["timezone"]))


def _moment(value: datetime, form: str, seconds: bool, reader: str) -> str:
    locale = _dates_locale(reader)
    zoned = form in ("long", "full")
    if seconds:
        time = _ZONE.sub(f"'{_offset(value)}'", _time_pattern(locale, form))
    else:
        time = _time_pattern(locale, "short") + (f" '{_offset(value)}'" if zoned else "")
    shown = babel_dates.format_time(value, time, tzinfo=value.tzinfo, locale=locale)  # pyright: ignore[reportArgumentType]
    return _joined(_date(value.date(), form, reader), shown, form, locale)


# Babel knows the short name of a zone (CET, MEZ) in a few languages only, and writes +0100 in the others.
_ZONE = re.compile("z+")


def _time_pattern(locale: Locale, form: str) -> str:
    return locale.time_formats[form].pattern


def _joined(date: str, time: str, form: str, locale: Locale) -> str:
    pattern = str(locale.datetime_formats[form])  # "{1}, {0}", or with a word in quotes
    return pattern.replace("'", "").replace("{1}", date).replace("{0}", time)


def _hours(begin: datetime, end: datetime, locale: Locale) -> str:
    skeleton = "hm" if "a" in _time_pattern(locale, "short") else "Hm"
    return babel_dates.format_interval(begin, end, skeleton, begin.tzinfo, locale=locale)


def _offset(value: datetime) -> str:
    """`GMT+1` or `GMT-3:30`, in every language."""
    minutes = (value.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"GMT{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}" if minutes else "GMT"


@pass_context
def address(context: Context, place: Mapping[str, str | None]) -> tuple[str, ...]:
    """The lines of a postal address in the order of its country."""
    CHECKS["address"](place)
    return address_lines(
        place["name"] or "",
        place["address"] or "",
        place["city"] or "",
        place.get("region") or "",
        place.get("postal_code") or "",
        place["country"] or "",
        babel_locale(_reader(context)),
    )


@pass_context
def listed(context: Context, values: Sequence[object], style: Literal["and", "or"] = "and") -> str:
    """`a, b and c`, or `a, b or c`, with the recipient's words and commas; empty without values."""
    CHECKS["listed"](values)
    if style not in ("and", "or"):
        raise TemplateError('the filter listed joins by "and" or "or"')
    safe = any(hasattr(one, "__html__") for one in values)  # a text that is HTML already
    texts = [str(escape(one) if safe else one) for one in values]
    made = _joined_list(texts, _STYLES[style], _dates_locale(_reader(context)))
    return Markup(made) if safe else made  # noqa: S704


_STYLES: Mapping[str, Literal["standard", "or"]] = {"and": "standard", "or": "or"}


def _joined_list(texts: Sequence[str], style: Literal["standard", "or"], locale: Locale) -> str:
    """Babel copies the list for each of its values, so it gets those between the first and last as one."""
    if len(texts) > 3:
        between = locale.list_patterns[style]["middle"].format("", "")
        texts = (texts[0], between.join(texts[1:-1]), texts[-1])
    return format_list(texts, style, locale)


@pass_context
def phone(context: Context, value: str) -> str:
    """A phone number as people in the country of the recipient's locale write it; for a locale without a
    country, the international form. A text that is no number stays as it is."""
    CHECKS["phone"](value)
    return written_for(babel_locale(_reader(context)).territory, value)


def mailto(mail_address: str) -> str:
    """A link that writes to `mail_address`, in ASCII (RFC 6068)."""
    CHECKS["mailto"](mail_address)
    return f"mailto:{quote(mail_address, safe='@+')}"


def url(value: str) -> str:
    """`value` if its scheme is safe in an href; `#` for others, such as javascript:."""
    CHECKS["url"](value)
    try:
        return value if urlsplit(value.strip()).scheme.lower() in _SAFE_SCHEMES else "#"
    except ValueError:
        return "#"


@pass_environment
def wrapped(environment: Environment, text: str, width: int = 79, **options: Any) -> str:
    """Jinja's `wordwrap`, skipped for a text that fits: it would take as long as the rest of the line."""
    CHECKS["wordwrap"](text)
    if len(text) <= width and "\n" not in text and text == text.strip():
        return text
    check_breaks(text, options.get("wrapstring"))
    return do_wordwrap(environment, text, width, **options)


def across(left: str, right: str, width: int = 64) -> str:
    """`left` and `right` at the two ends of a line of text, two spaces apart at least."""
    CHECKS["across"](left, right)
    if width > MOST_REPEATED:
        raise TooLarge("across", WIDE)
    return f"{left}  ".ljust(width - len(right)) + right


FILTERS: dict[str, Callable[..., Any]] = {
    "money": money,
    "number": number,
    "percent": percent,
    "date": local_date,
    "datetime": local_datetime,
    "period": period,
    "relative": relative,
    "listed": listed,
    "address": address,
    "phone": phone,
    "mailto": mailto,
    "url": url,
    "wordwrap": wrapped,
    "across": across,
}
