"""Phone numbers in E.164: a plus sign, the country code and the number, without anything between."""

from __future__ import annotations

import re
from functools import lru_cache

MOST_DIGITS = 15
PLAIN = re.compile(rf"\+[1-9][0-9]{{6,{MOST_DIGITS - 1}}}")
_EXAMPLE = "such as +442079460018"


_DIALLED_ABROAD = re.compile(r"^[(\s]*00(?=[\s().-]*[1-9])")


def begins_with_country(text: str) -> bool:
    """Whether a phone number begins with a country code: after a plus sign or two zeros."""
    return "+" in text[:2] or bool(_DIALLED_ABROAD.match(text))


def e164(text: str, country: str | None = None) -> str:
    """The phone number `text` in E.164. country: ISO 3166, two letters; a number without a country code is of
    that country. A number that is written so already takes a microsecond.

    Raises ValueError with a reason that never repeats the input.
    """
    if PLAIN.fullmatch(text) and _is_possible(text):
        return text
    return _parsed(text, country)


def _is_possible(number: str) -> bool:
    """Whether a number in E.164 has as many digits as those of its country, and no trunk prefix, which the
    library removes."""
    for digits in (1, 2, 3):  # no country code begins with another
        if lengths := _lengths(int(number[1 : 1 + digits])):
            return number[1 + digits] != "0" and len(number) - 1 - digits in lengths
    return False


@lru_cache(1000)
def _lengths(code: int) -> frozenset[int]:
    """How many digits the numbers of a country code may have after it; empty if it is none."""
    # Imported here: its tables take a while to load, and most processes parse no number.
    import phonenumbers
    from phonenumbers.phonemetadata import PhoneMetadata

    region = phonenumbers.region_code_for_country_code(code)
    if region == phonenumbers.UNKNOWN_REGION:
        return frozenset()
    if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
        found = PhoneMetadata.metadata_for_nongeo_region(code)
    else:
        found = PhoneMetadata.metadata_for_region(region)
    described = found.general_desc if found is not None else None
    return frozenset(described.possible_length if described is not None else ())


def _parsed(text: str, country: str | None) -> str:
    import phonenumbers

    text = _DIALLED_ABROAD.sub("+", text)
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        if error.error_type != phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            raise ValueError(f"not a phone number, {_EXAMPLE}") from None
        wrong = "its country code does not exist" if text.startswith("+") else _NO_COUNTRY
        raise ValueError(wrong) from None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    found = phonenumbers.is_possible_number_with_reason(number)
    if found != phonenumbers.ValidationResult.IS_POSSIBLE or len(written) > 1 + MOST_DIGITS:
        raise ValueError(f"not a possible number of its country: {_WHY.get(found, 'it has too many digits')}")
    return written


_NO_COUNTRY = f"give its country code, {_EXAMPLE}, or a locale with the country, such as en-GB"
_WHY = {  # of phonenumbers.ValidationResult
    2: "it has too few digits",
    4: "its area code is missing",
    5: "no number has as many digits",
}
