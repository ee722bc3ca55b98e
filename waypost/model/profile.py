"""The profile of a recipient: what is kept of it, beside what a request may say."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, model_validator

from waypost.mail.address import PHONE_PATTERN
from waypost.mail.e164 import begins_with_country, e164
from waypost.model.attributes import CheckedAttributes
from waypost.model.request import FIELDS, Recipient

PROFILE = (*FIELDS, "attributes")  # the fields that are kept
_WITH_COUNTRY = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?[-_]([A-Za-z]{2})\Z")


class Profile(Recipient):
    """A recipient as its client describes it."""

    phone: Annotated[
        Annotated[str, Field(max_length=40, pattern=PHONE_PATTERN), AfterValidator(e164)] | None,
        Field(
            description="The number for texts, kept in E.164. Without a country code, it is of the country "
            "of the locale that is given beside it.",
            examples=["+41791234567"],
        ),
    ] = None
    attributes: Annotated[
        CheckedAttributes | None,
        Field(
            description="Values of your own, which templates read as recipient.attributes.NAME.",
            examples=[{"plan": "gold"}],
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _of_the_country(cls, given: Any) -> Any:
        """Give a phone number the country code of the locale, if it has none."""
        if not isinstance(given, dict):
            return given
        fields = cast("dict[str, Any]", given)
        phone, country = fields.get("phone"), _country(fields.get("locale"))
        if country and isinstance(phone, str) and re.match(PHONE_PATTERN, phone):
            with suppress(ValueError):
                return fields if begins_with_country(phone) else {**fields, "phone": e164(phone, country)}
        return fields


def _country(locale: Any) -> str | None:
    """The country of a locale such as `de-CH`."""
    found = _WITH_COUNTRY.match(locale) if isinstance(locale, str) else None
    return found[1].upper() if found else None
