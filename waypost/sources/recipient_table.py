"""The rows of recipients that `waypost recipients import` reads."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from waypost.mail.masking import mask_in
from waypost.model.request import FIELDS, Recipient
from waypost.model.source import TABLES
from waypost.model.validation_messages import explain
from waypost.sources.files import distinct_columns, rows_of, table_rows
from waypost.sources.rows import Row, SourceFailed, column

HEADER = ("id", *FIELDS)
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
        yield from table_rows(file, lambda names: _columns(names, file.name, fields))
    else:
        for row in rows_of(file):
            values = {fields.get(name, name): value for name, value in row.values.items()}
            yield Row(row.place, values, row.wrong)


def _columns(names: Sequence[str], of: str, fields: Mapping[str, str]) -> list[str]:
    found = [fields.get(name, name) for name in distinct_columns(names, of)]
    if _NAMED_BY.isdisjoint(found):
        raise SourceFailed(
            f"{of} has no column id, email or phone, which name a recipient: add it, or tell which column it "
            "is with --column"
        )
    return distinct_columns(found, of)


def recipient_of(row: Row) -> Recipient:
    """What a row says. An empty cell says nothing, and columns beside HEADER are ignored. Raises Refused."""
    if row.wrong:
        raise Refused(row.wrong)
    cells = {name: str(value).strip() for name in HEADER if (value := row.values.get(name)) is not None}
    try:
        return Recipient.model_validate({name: text for name, text in cells.items() if text})
    except ValidationError as error:
        raise Refused(mask_in(explain(error))) from None
