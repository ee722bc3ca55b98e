"""What callers ask for: one notification of one type to one recipient.

One shape everywhere: Prefect parameters, the lines of a JSONL file, and HTTP.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from waypost.mail.address import ADDRESS_PATTERN, one_address
from waypost.notification_type import LINE_PATTERN, Facts, Line

F = TypeVar("F", bound=Facts)

PHONE_PATTERN = r"^\+?[0-9(). -]*[0-9][0-9(). -]*$"

Email = Annotated[
    str,
    AfterValidator(one_address),
    # The pattern lets Prefect refuse, when a run is created, nearly all that the validator would.
    WithJsonSchema({"type": "string", "format": "email", "pattern": ADDRESS_PATTERN}),
]


@cache
def _known_locale(value: str) -> str:
    try:
        Locale.parse(value, sep="-" if "-" in value else "_")
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError("not a locale such as 'de' or 'pt-BR'") from error
    return value.replace("_", "-")


# Reading the zones takes milliseconds, and they do not change while a process runs.
_timezones = cache(available_timezones)


def _known_timezone(value: str) -> str:
    if value not in _timezones():
        raise ValueError("not an IANA time zone such as 'Europe/Paris'")
    return value


class Recipient(BaseModel):
    """Who receives it: an id known to the ledger, or an address, or both.

    What is given is remembered under the id (or else the address), so that a later request may
    name the id alone.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"minProperties": 1},
    )

    id: Annotated[str, Field(min_length=1, max_length=200, pattern=LINE_PATTERN)] | None = None
    email: Email | None = None
    phone: Annotated[str, Field(max_length=40, pattern=PHONE_PATTERN)] | None = None
    name: Line | None = None
    locale: Annotated[str, Field(max_length=20), AfterValidator(_known_locale)] | None = None
    timezone: Annotated[str, Field(max_length=60), AfterValidator(_known_timezone)] | None = None

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Recipient:
        if not (self.id or self.email or self.phone):
            raise ValueError("give an id, an email or a phone")
        return self

    @property
    def key(self) -> str:
        """What the ledger knows this recipient by: the id, else the address, in lower case."""
        return self.id or (self.email or self.phone or "").lower()


class Request(BaseModel, Generic[F]):
    """One notification asked for. `data` holds the facts of its type.

    idempotency_key: the same key again returns the first answer and sends nothing.
    deliver_at: not before; expires_at: never after, if sooner than the type's deadline.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    recipient: Recipient
    data: F
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    deliver_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None

    @property
    def digested(self) -> bool:
        """Whether it waits for the next digest; only types that offer it can say so."""
        return False


AnyRequest = Request[Any]
