"""The profile of a recipient: what is kept of it, beside what a request may say."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, model_validator

from waypost.mail.address import PHONE_PATTERN
from waypost.mail.e164 import begins_with_country, e164
from waypost.model.additional_address import MOST_ADDRESSES, AdditionalAddress
from waypost.model.attributes import CheckedAttributes
from waypost.model.request import FIELDS, Recipient

# The fields that are kept; further addresses have rows of their own.
PROFILE = (*FIELDS, "attributes")
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

    addresses: Annotated[
        Annotated[list[AdditionalAddress], Field(max_length=MOST_ADDRESSES)] | None,
        Field(
            description="Further addresses, in the order in which they stand in for a main one.",
            examples=[[{"address": "ada@home.example", "verified": True}]],
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _of_the_country(cls, given: Any) -> Any:
        """Give phone numbers the country code of the locale, if they have none."""
        if not isinstance(given, dict):
            return given
        fields = cast("dict[str, Any]", given)
        country = _country(fields.get("locale"))
        if country is None:
            return fields
        changed = {**fields, "phone": _abroad(fields.get("phone"), country)}
        if isinstance(some := fields.get("addresses"), list | tuple):
            most = cast("list[Any]", some)[: MOST_ADDRESSES + 1]  # more are refused
            changed["addresses"] = [_there(one, country) for one in most]
        return {name: changed[name] for name in fields}


def _there(one: Any, country: str) -> Any:
    """`one` of the addresses, with the country code of `country` if it is a number without a code."""
    fields = cast("dict[str, Any]", one)
    if not isinstance(one, dict) or "address" not in fields:
        return fields
    return {**fields, "address": _abroad(fields["address"], country)}


def _abroad(phone: Any, country: str) -> Any:
    """`phone` with the code of `country`, if it is a number without a code; otherwise as it is."""
    if isinstance(phone, str) and re.match(PHONE_PATTERN, phone) and not begins_with_country(phone):
        with suppress(ValueError):
            return e164(phone, country)
    return phone


def _country(locale: Any) -> str | None:
    """The country of a locale such as `de-CH`."""
    found = _WITH_COUNTRY.match(locale) if isinstance(locale, str) else None
    return found[1].upper() if found else None
