"""One item that raises what nobody foresaw, at a step of choice, among items that are good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from ledgers import Note, run_sql
from pydantic import computed_field, field_validator

from waypost import Attachment, Grouping
from waypost.ledger import Ledger
from waypost.runtime import Runtime

BAD = "the poison"
SECRET = "hunter2"  # what exceptions say here, and nothing may repeat


def trips(text: object, error: type[Exception] = RecursionError) -> None:
    """Raise `error` where `text` is, or holds, the bad item's."""
    if BAD in str(text):
        raise error(SECRET)


class Tripping(Note):
    """Facts that are accepted, and cannot be read once `armed`."""

    armed: ClassVar[bool] = False

    @field_validator("text")
    @classmethod
    def _read(cls, text: str) -> str:
        if Tripping.armed:
            trips(text, KeyError)
        return text


class Shouting(Note):
    """Facts that cannot be written out for a template."""

    @computed_field
    @property
    def loud(self) -> str:
        trips(self.text)
        return self.text.upper()


class Key:
    """A private key that some mails cannot be signed with."""

    def sign(self, data: bytes, *_: object) -> bytes:
        trips(data.decode(), OverflowError)
        return b"signed"


class Rotten(bytes):
    """A message's content that nothing can be done with."""

    def _trips(self, *_: object) -> Any:
        trips(BAD)

    __contains__ = __iter__ = __add__ = _trips
    decode = endswith = find = replace = split = splitlines = startswith = _trips


async def attachments(facts: Note) -> list[Attachment]:
    trips(facts.text, MemoryError)
    return []


async def mint(_runtime: Runtime, notifications: Any) -> dict[Any, dict[str, str]]:
    for one in notifications:
        trips(one.data["text"])
    return {one.id: {} for one in notifications}


async def mint_what_cannot_be_encoded(_runtime: Runtime, notifications: Any) -> dict[Any, dict[str, str]]:
    """Half a surrogate pair: no encoding has it."""
    return {one.id: {"text": f"{one.data['text']}\ud800"} for one in notifications if BAD in one.data["text"]}


def tripping_group(facts: Note) -> str:
    trips(facts.text, ZeroDivisionError)
    return facts.text


GROUPING = Grouping(key=tripping_group, window=timedelta(minutes=5))


async def refuse_rows(ledger: Ledger, when: str, table: str, condition: str = "1 = 1") -> None:
    """Let the ledger (on SQLite) take no row of the bad item's: `when` is INSERT or UPDATE."""
    owner = "NEW.id" if table == "notifications" else "NEW.notification_id"
    data = "NEW.data" if table == "notifications" else f"(SELECT data FROM notifications WHERE id = {owner})"
    await run_sql(
        ledger,
        f"CREATE TRIGGER poison BEFORE {when} ON {table} WHEN {data} LIKE '%{BAD}%' AND {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{SECRET}'); END",
    )
