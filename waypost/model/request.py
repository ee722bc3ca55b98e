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

from waypost.mail.address import ADDRESS_PATTERN, PHONE_PATTERN, dialled, one_address, url_of
from waypost.mail.headers import checked
from waypost.model.brand import BrandName
from waypost.model.facts import Facts, Line, Moment, Text
from waypost.model.locale import known_locale, known_timezone
from waypost.model.priority import Priority
from waypost.model.word_patterns import KIND_PATTERN, TAG_PATTERN

F = TypeVar("F", bound=Facts)

Kind = Annotated[str, Field(pattern=KIND_PATTERN)]
Tag = Annotated[str, Field(pattern=TAG_PATTERN)]

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
        raise ValueError("an id must not begin with mailto: or tel:, the form of stored addresses")
    return value


def _fit_for_a_header(value: str) -> str:
    """A mail's To allows no control character, not even one hidden in an encoded word (RFC 2047)."""
    return checked("name", value)


FIELDS = ("email", "phone", "name", "locale", "timezone")  # what is kept of a recipient


class Recipient(BaseModel):
    """The recipient of a notification: an id, an address, or both.

    The notification goes to the address given here. Fields that were unknown for the id (or else the address)
    are stored, so that later requests need only the id.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"minProperties": 1},
    )

    email: Annotated[
        Email | None, Field(description="The mail goes to this address.", examples=["ada@shop.example"])
    ] = None
    phone: Annotated[
        Annotated[str, Field(max_length=40, pattern=PHONE_PATTERN), AfterValidator(dialled)] | None,
        Field(description="The number for texts, with its country.", examples=["+41791234567"]),
    ] = None
    name: Annotated[
        Annotated[Line, AfterValidator(_fit_for_a_header)] | None,
        Field(description="How the message addresses the recipient.", examples=["Ada Lovelace"]),
    ] = None
    locale: Annotated[
        Annotated[str, Field(max_length=20), AfterValidator(known_locale)] | None,
        Field(description="The language of the message.", examples=["en", "de-CH"]),
    ] = None
    timezone: Annotated[
        Annotated[str, Field(max_length=60), AfterValidator(known_timezone)] | None,
        Field(description="The time zone of the times in it.", examples=["Europe/Zurich"]),
    ] = None
    id: Annotated[
        Annotated[Text, AfterValidator(_no_url)] | None,
        Field(
            description="Your own id of the recipient. Later requests may name it alone.", examples=["ada"]
        ),
    ] = None

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
    """A request for one notification. `data` has the facts of its type.

    idempotency_key: within 24 hours the same key returns the first response and sends nothing.
    deliver_at: the earliest time of delivery. expires_at: the latest, if sooner than the type's deadline.
    priority: a lane other than the type's. channels: only these kinds of the type's route.
    tags: words to find the notification by later. brand: whose mail it is, if not the type's or the default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    recipient: Annotated[Recipient, Field(description="An email address, a phone number or your own id.")]
    data: Annotated[F, Field(description="What the message says.")]
    priority: Annotated[
        Priority | None,
        Field(description="urgent, normal or bulk, if not the type's own lane.", examples=["urgent"]),
    ] = None
    deliver_at: Annotated[Moment | None, Field(description="Not sent before this moment.")] = None
    expires_at: Annotated[
        Moment | None,
        Field(description="Not sent after this moment, if it is sooner than the type's deadline."),
    ] = None
    channels: Annotated[
        Annotated[list[Kind], Field(min_length=1, max_length=10)] | None,
        Field(description="Only these channels of the type's route.", examples=[["email"]]),
    ] = None
    # No list: pydantic copies a default that can change, for every request.
    tags: Annotated[
        tuple[Tag, ...], Field(max_length=10, description="Words to find it by.", examples=[["spring-sale"]])
    ] = ()
    brand: Annotated[
        BrandName | None,
        Field(description="Whose mail it is: the name of a brand.", examples=["acme"]),
    ] = None
    idempotency_key: Annotated[
        Annotated[str, Field(min_length=1, max_length=200)] | None,
        Field(
            description="The same key again sends nothing again and returns the first answer.",
            examples=["order-1042-confirmation"],
        ),
    ] = None

    @cached_property
    def data_json(self) -> bytes:
        """The facts as JSON, as the ledger keeps them: serialised once, and compared if a key repeats."""
        return self.data.__pydantic_serializer__.to_json(self.data, round_trip=True)

    @model_validator(mode="after")
    def _without_nul(self) -> Request[F]:
        """PostgreSQL's text cannot hold NUL, and one request must not fail its batch."""
        data = self.data_json
        if "\0" in (self.idempotency_key or "") or (b"u0000" in data and _holds_nul(data)):
            raise ValueError("a text contains a NUL character")
        return self

    @property
    def digested(self) -> bool:
        """Whether it waits for the next digest; only types that offer digests override this."""
        return False


AnyRequest = Request[Any]
