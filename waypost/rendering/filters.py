"""Money, dates and numbers as the recipient writes them (Babel), and links that are safe to click."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel import dates as babel_dates
from babel import numbers as babel_numbers
from jinja2 import Environment, pass_context, pass_environment
from jinja2.filters import do_wordwrap
from jinja2.runtime import Context

from waypost.model.money import exact

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
        return amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN) + 0  # -0 is 0


# Babel is half the cost of an order, and the same amounts recur: in the HTML and the plain part of
# one mail, and from order to order.
_REMEMBERED = 20_000


def _reader(context: Context) -> str:
    # From the run's own context: a lookup through the template's variables takes as long as all the rest.
    return context.parent["recipient"]["locale"]


@pass_context
def money(context: Context, amount: Decimal, currency: str) -> str:
    """An amount such as `1.234,50 €`: exact, rounded only here."""
    return _money(amount, currency, _reader(context))


@lru_cache(_REMEMBERED)
def _money(amount: Decimal, currency: str, locale: str) -> str:
    return babel_numbers.format_currency(rounded(amount, currency), currency, locale=babel_locale(locale))


@pass_context
def number(context: Context, value: Decimal | int) -> str:
    """A number with the recipient's separators."""
    return _number(value, _reader(context))


@lru_cache(_REMEMBERED)
def _number(value: Decimal | int, locale: str) -> str:
    return babel_numbers.format_decimal(value, locale=babel_locale(locale))


@pass_context
def percent(context: Context, fraction: Decimal) -> str:
    """`0.15` as `15 %`."""
    return _percent(fraction, _reader(context))


@lru_cache(_REMEMBERED)
def _percent(fraction: Decimal, locale: str) -> str:
    return babel_numbers.format_percent(fraction, locale=babel_locale(locale), decimal_quantization=False)


@pass_context
def local_date(context: Context, value: date, form: str = "long") -> str:
    """A date spelled out; `form` is Babel's short, medium, long or full."""
    return _date(value, form, _reader(context))


@lru_cache(_REMEMBERED)
def _date(value: date, form: str, locale: str) -> str:
    return babel_dates.format_date(value, format=form, locale=babel_locale(locale))  # pyright: ignore[reportArgumentType]


@pass_context
def local_datetime(context: Context, value: datetime, form: str = "medium") -> str:
    """A moment in the recipient's time zone."""
    zone = ZoneInfo(context["recipient"]["timezone"])
    return babel_dates.format_datetime(value, format=form, tzinfo=zone, locale=babel_locale(_reader(context)))  # pyright: ignore[reportArgumentType]


def url(value: str) -> str:
    """`value` if its scheme is safe in an href; `#` for others, such as javascript:."""
    try:
        return value if urlsplit(value.strip()).scheme.lower() in _SAFE_SCHEMES else "#"
    except ValueError:
        return "#"


@pass_environment
def wrapped(environment: Environment, text: str, width: int = 79, **options: Any) -> str:
    """Jinja's `wordwrap`, skipped for a text that fits: it would take as long as the rest of the line."""
    if len(text) <= width and "\n" not in text and text == text.strip():
        return text
    return do_wordwrap(environment, text, width, **options)


def across(left: str, right: str, width: int = 64) -> str:
    """`left` and `right` at the two ends of a line of text, two spaces apart at least."""
    return f"{left}  ".ljust(width - len(right)) + right


FILTERS: dict[str, Callable[..., Any]] = {
    "money": money,
    "number": number,
    "percent": percent,
    "date": local_date,
    "datetime": local_datetime,
    "url": url,
    "wordwrap": wrapped,
    "across": across,
}
