"""The query parameters and the body of a client's suppressions."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from waypost.gateway.http.listing import MOST_LISTED, LeftOut
from waypost.gateway.problems import Fault, Problem
from waypost.ledger.records.suppressions import Key
from waypost.mail.address import address_or_number
from waypost.model.category import Category
from waypost.model.facts import Moment
from waypost.model.plain_numbers import PlainNumbers
from waypost.model.suppression import EVIDENCE_KEPT, Cause
from waypost.model.word_patterns import NO_NUL_PATTERN

# An email address or a phone number in a path or a query.
ADDRESS: dict[str, Any] = {"type": "string", "format": "address"}


class WhichSuppressions(BaseModel):
    """category, cause: only suppressions of these."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    category: Annotated[Category | None, LeftOut()] = None
    cause: Annotated[Cause | None, LeftOut()] = None


class SuppressionListing(WhichSuppressions):
    """address: only suppressions of this address, those for all clients included. after: the `next` of the
    previous page."""

    address: Annotated[
        Annotated[str, Field(max_length=320, json_schema_extra={"format": "address"})] | None, LeftOut()
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED), PlainNumbers] = 50
    after: Annotated[
        Annotated[str, Field(max_length=2000, json_schema_extra={"format": "suppression-cursor"})] | None,
        LeftOut(),
    ] = None


class NewSuppression(BaseModel):
    """category: null for all categories. reason: what led to it, for people. expires_at: null for good."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    category: Category | None = None
    cause: Cause = Cause.MANUAL
    reason: Annotated[str, Field(max_length=EVIDENCE_KEPT, pattern=NO_NUL_PATTERN)] = ""
    expires_at: Moment | None = None


def checked_address(text: str) -> str:
    """The address that a path or query names. Raises Problem."""
    try:
        return address_or_number(text)
    except ValueError as error:
        raise Problem("invalid", f"address: {error}", [Fault("address", str(error))]) from None


def cursor(key: Key | None) -> str | None:
    """The key of the last row of a page, for a URL."""
    return None if key is None else urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def key_of_cursor(text: str) -> Key:
    """Raises Problem."""
    try:
        found: Any = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        found = None
    if not isinstance(found, list) or [type(part) for part in found] != [str] * 4 or "\0" in "".join(found):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        wrong = "not the `next` of a page"
        raise Problem("invalid", f"after: {wrong}", [Fault("after", wrong)])
    return tuple(found)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
