"""Phone numbers as people write them (ITU-T E.123), by Google's table of the numbering plans."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 40  # characters of a text that may be a number: 15 digits (E.164), with blanks and an extension
# In another text, the library would take letters for digits (0800 FLOWERS) and leave out words.
_NUMBER = re.compile(
    r"[(]?[+\uff0b]?[\d\s()./\u2010-\u2015-]+(?:(?:;ext=|(?:ext\.?|x|\#)\s*)\d{1,7})?", re.IGNORECASE
)


@lru_cache(1000)
def written_for(country: str | None, text: str) -> str:
    """The phone number `text` for a reader in `country` (ISO 3166, two letters): in national form if both
    have the same country code, otherwise in international form. A number without a country code is read as
    of that country. A text that is no number, or has other words beside a number, is returned unchanged."""
    import phonenumbers  # its table takes longer to load than the rest of the filters

    form = phonenumbers.PhoneNumberFormat
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        return text
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_possible_number(number):
        return text
    near = country is not None and number.country_code == phonenumbers.country_code_for_region(country)
    return phonenumbers.format_number(number, form.NATIONAL if near else form.INTERNATIONAL)
