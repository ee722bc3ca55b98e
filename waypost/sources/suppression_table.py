"""The table of suppressions that `waypost suppressions` imports and exports, a row at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from waypost.mail.address import address_or_number
from waypost.model.category import Category
from waypost.model.client_name import is_client
from waypost.model.facts import Moment
from waypost.model.suppression import EVERY_CLIENT, EVIDENCE_KEPT, Cause, Suppression
from waypost.sources.files import distinct_columns, table_rows
from waypost.sources.rows import Row, SourceFailed

HEADER = ("address", "category", "cause", "client", "evidence", "expires_at")
WITHOUT_A_CLIENT = "-"  # in the column client; * and an empty cell mean all clients
_OTHER_NAMES = {"email": "address", "email_address": "address", "phone": "address", "reason": "evidence"}
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class Refused(ValueError):
    """A row cannot be imported. Names the column, and never repeats an address."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a row says whose cell, or whole column, is empty."""

    category: Category | None = None
    cause: Cause = Cause.MANUAL
    client: str = EVERY_CLIENT
    evidence: str = ""
    expires_at: datetime | None = None


def rows_in(file: Path) -> Generator[Row]:
    """The rows of a table with a column `address`. Raises SourceFailed."""
    return table_rows(file, lambda names: _columns(names, file.name))


def _columns(names: Sequence[str], of: str) -> list[str]:
    found = [_OTHER_NAMES.get(name, name) for name in distinct_columns(names, of)]
    if "address" not in found:
        raise SourceFailed(
            f"{of} has no column address; its first line names the columns: {','.join(HEADER)}"
        )
    return distinct_columns(found, of)


def suppression_of(row: Row, defaults: Defaults, moment: datetime) -> Suppression:
    """What a row says at `moment`. Columns beside HEADER are ignored. Raises Refused."""
    if row.wrong:
        raise Refused(row.wrong)
    cells = {name: str(row.values.get(name, "")).strip() for name in HEADER}
    return Suppression(
        address=_address(cells["address"]),
        scope=_category(cells["category"], defaults.category),
        cause=_cause(cells["cause"], defaults.cause),
        client=client_of(cells["client"]) if cells["client"] else defaults.client,
        evidence=cells["evidence"][:EVIDENCE_KEPT] or defaults.evidence,
        expires_at=_expiry(cells["expires_at"], moment) if cells["expires_at"] else defaults.expires_at,
    )


def cells_of(one: Suppression) -> tuple[str, ...]:
    """The cells of a row, in the order of HEADER."""
    until = f"{one.expires_at.astimezone(UTC).isoformat()}" if one.expires_at else ""
    client = one.client or WITHOUT_A_CLIENT
    return one.address, str(one.scope or ""), str(one.cause), client, one.evidence, until


def client_of(text: str) -> str:
    """The client that a cell or an option names: `-` for requests without an API key. Raises Refused."""
    if text == WITHOUT_A_CLIENT:
        return ""
    if text != EVERY_CLIENT and not is_client(text):
        raise Refused("client: use small letters a to z, digits and hyphens, 41 at most; * for all clients")
    return text


def _address(text: str) -> str:
    if not text:
        raise Refused("address: missing")
    try:
        return address_or_number(text)
    except ValueError as error:
        raise Refused(f"address: {error}") from None


def _category(text: str, default: Category | None) -> Category | None:
    if not text:
        return default
    if text.lower() not in set(Category):
        raise Refused(f"category: not one of {', '.join(Category)}; leave it empty for all categories")
    return Category(text.lower())


def _cause(text: str, default: Cause) -> Cause:
    if not text:
        return default
    if text.lower() not in set(Cause):
        raise Refused(f"cause: not one of {', '.join(Cause)}")
    return Cause(text.lower())


def _expiry(text: str, moment: datetime) -> datetime:
    try:
        found = _MOMENT.validate_python(text)
    except ValidationError:
        raise Refused("expires_at: not a moment with an offset, such as 2027-01-31T00:00:00Z") from None
    if found <= moment:
        raise Refused("expires_at: it is past, so the row stops nothing")
    return found
