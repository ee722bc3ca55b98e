"""The rows of recipients that `waypost recipients import` reads."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import from_json

from waypost.mail.masking import mask_in
from waypost.model.attributes import is_name
from waypost.model.profile import PROFILE, Profile
from waypost.model.source import TABLES
from waypost.model.validation_messages import explain
from waypost.sources.files import distinct_columns, rows_of, table_rows
from waypost.sources.rows import Row, SourceFailed, column

HEADER = ("id", *PROFILE)
_ATTRIBUTES, OF_ATTRIBUTE = "attributes", "attributes."
_NAMED_BY = frozenset({"id", "email", "phone"})
_OTHER_NAMES = {"e-mail": "email", "email_address": "email", "mail": "email", "time_zone": "timezone"}


class Refused(ValueError):
    """A row cannot be imported. Names the field, and never repeats its value."""


def rows_in(file: Path, mapping: Mapping[str, str]) -> Generator[Row]:
    """The rows of a CSV or JSONL file. mapping: the field that a column is, by the column's name, for columns
    that have another name than the field. Raises SourceFailed for a table that does not name its
    recipients."""
    fields = {**_OTHER_NAMES, **{column(name): field for name, field in mapping.items()}}
    if file.suffix.lower() in TABLES:
        for row in table_rows(file, lambda names: _columns(names, file.name, fields)):
            yield Row(row.place, _gathered(row.values), row.wrong)
    else:
        for row in rows_of(file):
            values = {fields.get(name, name): value for name, value in row.values.items()}
            yield Row(row.place, _gathered(values), row.wrong)


def is_field(name: str) -> bool:
    """Whether a column can have that name: a field of a recipient, or `attributes.NAME`."""
    return name in HEADER or (name.startswith(OF_ATTRIBUTE) and is_name(name.removeprefix(OF_ATTRIBUTE)))


def _gathered(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """`values` with the columns `attributes.NAME` as one value, an object. A text in it that is empty says
    nothing. In place of an object may stand its JSON, as in the file of refused rows."""
    apart = {name: value for name, value in values.items() if name.startswith(OF_ATTRIBUTE)}
    whole: Any = values.get(_ATTRIBUTES)
    if isinstance(whole, str) and whole.strip():
        with suppress(ValueError):
            whole = from_json(whole)
    if not apart and whole is values.get(_ATTRIBUTES):
        return values
    if isinstance(whole, dict) or whole in (None, ""):
        own = {name.removeprefix(OF_ATTRIBUTE): _said(value) for name, value in apart.items()}
        given = cast("dict[str, Any]", whole or {})
        whole = {**given, **{name: one for name, one in own.items() if one is not None}}
    rest = {name: value for name, value in values.items() if name not in apart}
    return {**rest, _ATTRIBUTES: whole}


def _said(value: Any) -> Any:
    return value.strip() or None if isinstance(value, str) else value


def _columns(names: Sequence[str], of: str, fields: Mapping[str, str]) -> list[str]:
    found = [fields.get(name, name) for name in distinct_columns(names, of)]
    if _NAMED_BY.isdisjoint(found):
        raise SourceFailed(
            f"{of} has no column id, email or phone, which name a recipient: add it, or tell which column it "
            "is with --column"
        )
    return distinct_columns(found, of)


def recipient_of(row: Row) -> Profile:
    """What a row says. An empty cell says nothing, and columns beside HEADER are ignored. Raises Refused."""
    if row.wrong:
        raise Refused(row.wrong)
    values = ((name, row.values.get(name)) for name in HEADER)
    said = ((name, value) for name, value in values if value is not None)
    cells = {name: value if name == _ATTRIBUTES else str(value).strip() for name, value in said}
    try:
        return Profile.model_validate({name: one for name, one in cells.items() if one != ""})
    except ValidationError as error:
        raise Refused(mask_in(explain(error))) from None
