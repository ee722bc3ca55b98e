"""Postal addresses, with their lines in the order of their country.

The orders are those of Google's address data. The libraries that carry it are left out: they drop the city of
countries whose format has none (Japan, Singapore), and an order's mail shows all that its buyer typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from babel import Locale
from babel.core import get_global

# By country: the lines below the street, of C(ity), S(tate or region) and Z(ip, the postcode). A missing part
# takes the separator before it along.
_ORDERS = {
    "C, S Z": "US TW SO BB UM",
    "C S Z": "CA AU PR GU VI AS FM MH MP PW",
    "C\nS\nZ": "GB IE GG JE IM GI HU IO FK KE LK SZ SH ZA TA IQ RU UA EG IR LV CU KR",
    "C\nS Z": "MN ID VN TH KP HK AE JM PA",
    "C, S\nZ": "HN CR",
    "C Z\nS": "SA BH NP JO MV IL BN BM KH LB LS SG MM NZ PG KY BD BT PE IN NG",
    "C-Z\nS": "PK",
    "C Z, S": "VE",
    "C, S, Z": "CO CN",
    "C-S\nZ": "BR",
    "Z C S": "IT ES UY EE LT RO SM",
    "Z C\nS": "CL AR MY CV UZ BY SV KZ AM",
    "Z C/S": "TR",
    "Z\nC\nS": "EC OM MU",
}
_OTHERS = "Z C, S"  # most of Europe, Africa and Asia; few of these addresses name a region
_ORDER_OF = {country: order for order, countries in _ORDERS.items() for country in countries.split()}
_PART = re.compile(r"([^CSZ]*)([CSZ])")

# East Asian addresses in their own letters go from the large to the small.
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LARGE_TO_SMALL = {"JP", "CN", "TW", "KR", "HK", "MO"}

# Names that are neither English nor in the reader's language: common names, and names in the language of the
# country. Only countries with an order above need a name.
_OTHER_NAMES = {
    name: code
    for code, names in {
        "US": "united states of america|estados unidos|états-unis|vereinigte staaten",
        "GB": "england|scotland|wales|northern ireland|great britain|reino unido|royaume-uni",
        "BR": "brasil",
        "CA": "kanada",
        "CN": "中国|中國",
        "EE": "eesti",
        "ES": "españa|espanya",
        "HK": "香港",
        "HU": "magyarország",
        "IE": "éire",
        "IT": "italia",
        "JP": "日本|日本国",
        "KR": "대한민국|한국",
        "LT": "lietuva",
        "LV": "latvija",
        "PE": "perú",
        "RO": "românia",
        "RU": "россия",
        "TH": "ไทย|ประเทศไทย",
        "TR": "türkiye|turkey",
        "TW": "台灣|臺灣",
        "UA": "україна",
    }.items()
    for name in names.split("|")
}


@lru_cache(2000)
def address_lines(
    name: str, street: str, city: str, region: str, postcode: str, country: str, locale: Locale
) -> tuple[str, ...]:
    """The lines of an address, without empty ones. `locale` is the reader's. A country of two letters, an ISO
    3166 code, is shown by its name in that language, any other as it is."""
    code = country_code(country, locale)
    if country.strip().upper() == code:
        names: dict[str, str] = dict(locale.territories)  # pyright: ignore[reportUnknownArgumentType]
        country = names.get(code, country)
    streets = [line.strip() for line in street.splitlines()]
    if code in _LARGE_TO_SMALL and _EAST_ASIAN.search(city):
        mark = "〒" if code == "JP" and postcode[:1].isdigit() else ""
        lines = [f"{mark}{postcode}", f"{region}{city}{''.join(streets)}", name, country]
    else:
        lines = [name, *streets, *_place(code, {"C": city, "S": region, "Z": postcode}), country]
    return tuple(line for line in lines if line.strip())


def _place(code: str, parts: dict[str, str]) -> Iterator[str]:
    for pattern in _ORDER_OF.get(code, _OTHERS).split("\n"):
        line = ""
        for separator, part in _PART.findall(pattern):
            if parts[part].strip():
                line += (separator if line else "") + parts[part]
        yield line


@lru_cache(2000)
def country_code(country: str, locale: Locale) -> str:
    """The ISO code of a country, or empty. `country` is a code, or a name in the language of `locale`, in
    English or in the country's own language."""
    said = " ".join(country.replace(".", "").casefold().split())
    code = said.upper()
    if alias := get_global("territory_aliases").get(code):  # UK, USA
        return str(alias[0])
    english = _countries("en")
    if code in english.values():
        return code
    return _countries(str(locale)).get(said) or english.get(said) or _OTHER_NAMES.get(said, "")


@cache
def _countries(locale: str) -> dict[str, str]:
    """The codes of countries by their names in a locale."""
    territories: dict[str, str] = dict(Locale.parse(locale).territories)  # pyright: ignore[reportUnknownArgumentType]
    return {name.casefold(): code for code, name in territories.items() if code.isalpha()}
