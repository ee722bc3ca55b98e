"""A brand, whose mail a notification is: as configured, and with its defaults filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    UrlConstraints,
)

from waypost.model.facts import Line, Text
from waypost.model.provider import Kind, ProviderName
from waypost.model.word_patterns import COLOUR_PATTERN, PROVIDER_PATTERN

DEFAULT = "default"  # the name of the brand that needs no setting

BrandName = Annotated[str, StringConstraints(pattern=PROVIDER_PATTERN)]
Colour = Annotated[str, StringConstraints(pattern=COLOUR_PATTERN)]
HttpsUrl = Annotated[HttpUrl, UrlConstraints(allowed_schemes=["https"])]


def _one_sender(value: str) -> str:
    from waypost.mail.headers import parse_mailbox

    parse_mailbox(value)
    return value


def _one_reply_to(value: str) -> str:
    from waypost.mail.headers import reply_to

    if value:
        reply_to(value)
    return value


def _as_lines(value: object) -> object:
    return value.splitlines() if isinstance(value, str) else value


Lines = Annotated[list[Line], BeforeValidator(_as_lines), Field(max_length=20)]


class BrandTerms(BaseModel):
    """A brand as WAYPOST_BRANDS has it; None for what is not set.

    name: how people read it; also the alternative text of the logo. Default: the sender's name.
    sender: From of its mails. reply_to: Reply-To, unless a type has its own. signature: lines at the end of
    its mails. logo: an https address. accent, accent_dark: its colour, and the same in dark mode, as #0b7285.
    postal_address, footer: lines, as a list or as a text with line breaks. providers: by kind of channel, the
    names of the providers that its messages may use, the first to try first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Text | None = None
    sender: Annotated[str, AfterValidator(_one_sender)] | None = None
    reply_to: Annotated[str, AfterValidator(_one_reply_to)] | None = None
    signature: Annotated[str, Field(max_length=2000)] | None = None
    logo: HttpsUrl | None = None
    accent: Colour | None = None
    accent_dark: Colour | None = None
    postal_address: Lines = []
    footer: Lines = []
    providers: dict[Kind, Annotated[list[ProviderName], Field(min_length=1)]] = {}


NO_TERMS = BrandTerms()


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand with its defaults filled in: texts are empty, and lists too, where nothing is set.

    key: the name by which requests, keys and types refer to it. The other fields are those of BrandTerms.
    """

    key: str
    name: str
    sender: str
    reply_to: str = ""
    signature: str = ""
    logo: str = ""
    accent: str = ""
    accent_dark: str = ""
    postal_address: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    providers: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


class NoSuchBrand(LookupError):
    """A notification's brand does not exist. Names it."""


def no_such_brand(name: str, known: Iterable[str] = ()) -> str:
    """The sentence that refuses an unknown brand. known: the brands that its reader may use instead; none for
    a reader who may use no other, as brands are clients' names."""
    others = ", ".join(known)
    return f"there is no brand {name}{f'; brands: {others}' if others else ''}"
