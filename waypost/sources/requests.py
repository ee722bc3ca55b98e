"""Rows become requests: columns of the recipient, and facts by name."""

from __future__ import annotations

import re
from collections.abc import Set
from datetime import date
from hashlib import sha256
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from waypost.mail.masking import mask_in
from waypost.model.notification_type import NotificationType
from waypost.model.request import FIELDS, AnyRequest, Request
from waypost.model.validation_messages import explain
from waypost.sources.rows import Row
from waypost.system.isolation import ItemFailed, isolated

OF_RECIPIENT = ("id", *FIELDS)
DUE_ON = "due_on"  # the column that limits a row to a date
_UNUSED_KEPT = 20


# A date, or a moment as databases write it.
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ][0-9:.,+Z -]*)?")


class NotDue(Exception):
    """The row is for another date."""


class Rejected(Exception):
    """The row is no request. Says which field is wrong and why, without its value."""


class Requests:
    """Makes the requests of a type from the rows of its source. unused: columns that are neither a field of
    the recipient nor a fact."""

    def __init__(self, of: NotificationType, day: date) -> None:
        shape: type[BaseModel] = of.request or Request[of.facts]
        self._shape: TypeAdapter[Any] = TypeAdapter(shape)
        self._type, self._day = of, day
        self.unused: dict[str, None] = {}

    def of(self, row: Row) -> AnyRequest:
        """The row as a request, keyed by type, recipient and date. Raises NotDue or Rejected."""
        if row.wrong:
            raise Rejected(row.wrong)
        try:
            with isolated("reading", ValidationError, NotDue, Rejected):
                return self._made(row)
        except ValidationError as error:
            raise Rejected(mask_in(explain(error))) from None
        except ItemFailed as failed:
            raise Rejected(str(failed)) from None

    def _made(self, row: Row) -> AnyRequest:
        given = {name: said for name, value in row.values.items() if (said := _as_text(value)) is not None}
        if not _is_on(given.pop(DUE_ON, None), self._day):
            raise NotDue
        recipient = {name: given.pop(name) for name in OF_RECIPIENT if name in given}
        facts = self._type.facts.model_fields
        self._note(row.values.keys() - facts.keys() - {*OF_RECIPIENT, DUE_ON})
        data = {name: value for name, value in given.items() if name in facts}
        request: AnyRequest = self._shape.validate_python({"recipient": recipient, "data": data})
        return request.model_copy(
            update={"idempotency_key": key(self._type.name, self._day, request.recipient.key)}
        )

    def _note(self, names: Set[str]) -> None:
        for name in sorted(names):
            if len(self.unused) < _UNUSED_KEPT:
                self.unused.setdefault(mask_in(name[:60]))


def key(type: str, day: date, recipient: str) -> str:
    """The idempotency key of a reminder. The recipient is hashed: an address does not belong into keys, which
    lists and logs show."""
    return f"{type} {day} {sha256(recipient.encode()).hexdigest()[:40]}"


def _is_on(said: object, day: date) -> bool:
    """Whether a row that names the date `said`, or none, is due on `day`. Raises Rejected."""
    if said is None:
        return True
    try:
        if not (found := _DATE.fullmatch(str(said))):
            raise ValueError
        return date.fromisoformat(found[1]) == day
    except ValueError:
        raise Rejected(f"{DUE_ON}: not a date, such as 2026-01-31") from None


def _as_text(value: Any) -> Any:
    """A value as a table would have it, so that every source is read alike: a number is the text of its
    digits. None for nothing. Lists, objects, true and false stay."""
    match value:
        case str():
            return value.strip() or None
        case None | bool() | list() | dict():
            return cast(Any, value)
        case _:
            return str(value)
