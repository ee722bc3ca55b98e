"""Money, dates and numbers as the recipient writes them (Babel), and links that are safe to click."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel import dates as babel_dates
from babel import numbers as babel_numbers
from jinja2 import pass_context
from jinja2.runtime import Context

_SAFE_SCHEMES = {"http", "https", "mailto"}


@cache
def babel_locale(name: str) -> Locale:
    """Babel's locale for `pt-BR` or `pt_BR`; its language alone when the territory is unknown."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        language = name.replace("_", "-").partition("-")[0]
        return Locale.parse(language) if language != name else Locale.parse("en")


def rounded(amount: Decimal, currency: str) -> Decimal:
    """`amount` in the currency's smallest unit, halves to even: what Decimal and Babel do too."""
    digits = babel_numbers.get_currency_precision(currency)
    return amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)


def _locale(context: Context) -> Locale:
    return babel_locale(context["recipient"]["locale"])


@pass_context
def money(context: Context, amount: Decimal, currency: str) -> str:
    """`1.234,50 €`: exact, rounded once, here."""
    return babel_numbers.format_currency(rounded(amount, currency), currency, locale=_locale(context))


@pass_context
def number(context: Context, value: Decimal | int) -> str:
    """A number with the recipient's separators."""
    return babel_numbers.format_decimal(value, locale=_locale(context))


@pass_context
def percent(context: Context, fraction: Decimal) -> str:
    """`0.15` as `15 %`."""
    return babel_numbers.format_percent(fraction, locale=_locale(context), decimal_quantization=False)


@pass_context
def local_date(context: Context, value: date, form: str = "long") -> str:
    """A date spelled out; `form` is Babel's short, medium, long or full."""
    return babel_dates.format_date(value, format=form, locale=_locale(context))  # pyright: ignore[reportArgumentType]


@pass_context
def local_datetime(context: Context, value: datetime, form: str = "medium") -> str:
    """A moment in the recipient's time zone."""
    zone = ZoneInfo(context["recipient"]["timezone"])
    return babel_dates.format_datetime(value, format=form, tzinfo=zone, locale=_locale(context))  # pyright: ignore[reportArgumentType]


def url(value: str) -> str:
    """`value` when it is safe in an href; `#` for javascript: and its kin."""
    try:
        return value if urlsplit(value.strip()).scheme.lower() in _SAFE_SCHEMES else "#"
    except ValueError:
        return "#"


FILTERS: dict[str, Callable[..., Any]] = {
    "money": money,
    "number": number,
    "percent": percent,
    "date": local_date,
    "datetime": local_datetime,
    "url": url,
}
