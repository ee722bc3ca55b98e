"""A caller's request: one notification of one type to one recipient.

One shape everywhere: Prefect parameters, the lines of a JSONL file, and HTTP.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from waypost.mail.address import ADDRESS_PATTERN, PHONE_PATTERN, one_address, url_of
from waypost.mail.headers import checked
from waypost.model.facts import Facts, Line, Moment, Text
from waypost.model.locale import known_locale, known_timezone
from waypost.model.priority import Priority

F = TypeVar("F", bound=Facts)

Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,49}$")]

Email = Annotated[
    str,
    AfterValidator(one_address),
    # With the pattern, Prefect refuses nearly all that the validator would, when a run is created.
    WithJsonSchema({"type": "string", "format": "email", "pattern": ADDRESS_PATTERN}),
]


def _holds_nul(text: bytes) -> bool:
    """Whether a JSON text contains an escaped NUL, and not an escaped backslash before `u0000`."""
    return b"\\u0000" in text.replace(b"\\\\", b"")


def _no_url(value: str) -> str:
    if value.lower().startswith(("mailto:", "tel:")):
        raise ValueError("an id does not begin with mailto: or tel:, which is how addresses are known")
    return value


def _fit_for_a_header(value: str) -> str:
    """A mail's To allows no control character, not even one hidden in an encoded word (RFC 2047)."""
    return checked("name", value)


FIELDS = ("email", "phone", "name", "locale", "timezone")  # what is kept of a recipient


class Recipient(BaseModel):
    """Who receives it: an id known to the ledger, or an address, or both.

    The notification goes to the address given here. What was not known under the id (or else the address) is
    remembered, so that a later request may name the id alone.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"minProperties": 1},
    )

    id: Annotated[Text, AfterValidator(_no_url)] | None = None
    email: Email | None = None
    phone: Annotated[str, Field(max_length=40, pattern=PHONE_PATTERN)] | None = None
    name: Annotated[Line, AfterValidator(_fit_for_a_header)] | None = None
    locale: Annotated[str, Field(max_length=20), AfterValidator(known_locale)] | None = None
    timezone: Annotated[str, Field(max_length=60), AfterValidator(known_timezone)] | None = None

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Recipient:
        if not (self.id or self.email or self.phone):
            raise ValueError("give an id, an email or a phone")
        return self

    @property
    def key(self) -> str:
        """The ledger's key of this recipient: the id, else the folded address as a URL.
        Ids never collide with URLs: an id that looks like such a URL is refused, as one request could
        otherwise redirect another's mail."""
        return self.id or url_of(self.email or self.phone or "")

    @property
    def named(self) -> dict[str, str]:
        """The fields given beside the id."""
        given = self.__dict__
        return {field: given[field] for field in FIELDS if given[field] is not None}


class Request(BaseModel, Generic[F]):
    """One notification asked for. `data` holds the facts of its type.

    idempotency_key: the same key again returns the first answer and sends nothing.
    deliver_at: not before; expires_at: never after, if sooner than the type's deadline.
    priority: another lane than the type's own. channels: only these kinds of the type's route.
    tags: words to find it by later.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    recipient: Recipient
    data: F
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    deliver_at: Moment | None = None
    expires_at: Moment | None = None
    priority: Priority | None = None
    channels: Annotated[list[Kind], Field(min_length=1, max_length=10)] | None = None
    tags: Annotated[list[Tag], Field(max_length=10)] = []

    @cached_property
    def data_json(self) -> bytes:
        """The facts as JSON, as the ledger keeps them: serialised once, and compared if a key repeats."""
        return self.data.__pydantic_serializer__.to_json(self.data, round_trip=True)

    @model_validator(mode="after")
    def _without_nul(self) -> Request[F]:
        """PostgreSQL's text cannot hold NUL, and one request must not fail its batch."""
        data = self.data_json
        if "\0" in (self.idempotency_key or "") or (b"u0000" in data and _holds_nul(data)):
            raise ValueError("a text holds a NUL character")
        return self

    @property
    def digested(self) -> bool:
        """Whether it waits for the next digest; only types that offer digests override this."""
        return False


AnyRequest = Request[Any]
