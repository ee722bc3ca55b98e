"""The further addresses of a recipient, beside its main email address and phone number."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from waypost.mail.address import PHONE_PATTERN, one_address
from waypost.mail.e164 import e164

MOST_ADDRESSES = 20  # of a list
EMAIL, PHONE = "email", "phone"  # the kinds
_LONGEST_NUMBER = 40  # characters, as written
_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "format": "email"}, {"type": "string", "format": "phone-number"}]
}


def kind_of(address: str) -> str:
    """The kind of an address, also of one as a URL or its hash."""
    return EMAIL if "@" in address or address.startswith("mailto:") else PHONE


def one_form(text: str) -> str:
    """`text`, an email address or a phone number, in the form in which a profile keeps it. Raises ValueError
    with a reason that never repeats `text`."""
    if "@" in text:
        return one_address(text)
    if len(text) > _LONGEST_NUMBER or not re.match(PHONE_PATTERN, text):
        raise ValueError("neither an email address nor a phone number, such as +442079460018")
    return e164(text)


class AdditionalAddress(BaseModel):
    """An address of a recipient. verified: whether the recipient proved that it is theirs; None leaves what
    is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    address: Annotated[
        str,
        AfterValidator(one_form),
        WithJsonSchema(_SCHEMA),
        Field(description="An email address, or a phone number, kept in E.164."),
    ]
    verified: Annotated[
        Annotated[bool, Field(strict=True)] | None,
        Field(description="Whether the recipient has proved it. Left out: as it is known."),
    ] = None
