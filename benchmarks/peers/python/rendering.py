"""Order confirmations from templates in PEER_TEMPLATES, rendered with Jinja2, gettext and Babel."""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
from babel import Locale, dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(os.environ["PEER_TEMPLATES"])
SENDER = {"name": "Waypost", "signature": "", "support": ""}
LINKS = {"unsubscribe": "", "preferences": ""}
BRAND = {"name": "", "logo": "", "accent": "", "accent_dark": "", "postal_address": (), "footer": ()}


def render(recipient: dict[str, str], data: dict[str, Any]) -> tuple[str, str, str]:
    """The subject, plain text and HTML of an order, in the recipient's language."""
    language = recipient["locale"].partition("-")[0]
    values = {
        **_facts(data),
        "recipient": recipient,
        "locale": _locale(recipient["locale"]),
        "lang": language,
        "direction": "ltr",
        "sender": SENDER,
        "brand": BRAND,
        "links": LINKS,
    }
    subject = _template(language, "subject.txt").render(values).strip()
    plain = _template(language, "body.txt").render(values).strip() + "\n"
    return subject, plain, _template(language, "body.html").render(values, subject=subject)


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    """The order with its sums, its amounts as decimals."""
    lines = [_line(line) for line in data["lines"]]
    subtotal, freight = sum(line["total"] for line in lines), Decimal(data["freight"])
    return {
        "order_url": None,
        **data,
        "ordered_at": date.fromisoformat(data["ordered_at"]),
        "lines": lines,
        "freight": freight,
        "subtotal": subtotal,
        "savings": sum(line["quantity"] * line["unit_price"] for line in lines) - subtotal,
        "total": subtotal + freight,
    }


def _line(line: dict[str, Any]) -> dict[str, Any]:
    price, discount = Decimal(line["unit_price"]), Decimal(line["discount"])
    total = price * line["quantity"] * (1 - discount)
    return {**line, "unit_price": price, "discount": discount, "total": total}


@cache
def _locale(tag: str) -> Locale:
    return Locale.parse(tag, sep="-")


@jinja2.pass_context
def money(context: jinja2.runtime.Context, amount: Decimal, currency: str) -> str:
    return numbers.format_currency(amount, currency, locale=context["locale"])


@jinja2.pass_context
def number(context: jinja2.runtime.Context, value: Decimal | int) -> str:
    return numbers.format_decimal(value, locale=context["locale"])


@jinja2.pass_context
def percent(context: jinja2.runtime.Context, fraction: Decimal) -> str:
    return numbers.format_percent(fraction, locale=context["locale"], decimal_quantization=False)


@jinja2.pass_context
def long_date(context: jinja2.runtime.Context, value: date) -> str:
    return dates.format_date(value, format="long", locale=context["locale"])


def address(place: dict[str, str]) -> list[str]:
    lines = (place["name"], place["address"], f"{place.get('postal_code') or ''} {place['city']}")
    return [line.strip() for line in (*lines, place.get("region") or "", place["country"]) if line.strip()]


def across(left: str, right: str, width: int = 64) -> str:
    return f"{left}  ".ljust(width - len(right)) + right


FILTERS = {
    "money": money,
    "number": number,
    "percent": percent,
    "date": long_date,
    "address": address,
    "across": across,
    "url": str,  # the links are ours
    "mailto": "mailto:{}".format,
}


@cache
def _template(language: str, name: str) -> jinja2.Template:
    html = name.endswith(".html")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=html,
        trim_blocks=not html,
        lstrip_blocks=not html,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(_translations(language), newstyle=True)
    environment.filters.update(FILTERS)
    return environment.get_template(name)


@cache
def _translations(language: str) -> NullTranslations:
    catalogue = FOLDER / "_locales" / language / "LC_MESSAGES" / "messages.po"
    if not catalogue.exists():
        return NullTranslations()
    compiled = BytesIO()
    with catalogue.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)
