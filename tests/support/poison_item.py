"""An item that raises an unforeseen error, at a chosen step, among good items."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, ClassVar

import httpx
from pydantic import computed_field, field_validator
from sqlalchemy.exc import OperationalError

from support.ledger import Note, run_sql
from support.rings import in_clear
from waypost import Attachment, Grouping
from waypost.delivery.runtime import Runtime
from waypost.ledger import Ledger

BAD = "the poison"
SECRET = "hunter2"  # the text of the exceptions here, which no output may repeat


def trips(text: object, error: type[Exception] = RecursionError) -> None:
    """Raise `error` if `text` is, or contains, the bad item's text."""
    if BAD in str(text):
        raise error(SECRET)


async def _cancels() -> None:
    waiting = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    waiting.cancel()
    await waiting


async def _raises(error: BaseException) -> None:
    raise error


# What a type's code may do for one item, by the word that names it in the item's failure.
DEEDS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "FileNotFoundError": lambda: _raises(FileNotFoundError(2, SECRET, f"/{SECRET}")),
    "ConnectionRefusedError": lambda: _raises(ConnectionRefusedError(SECRET)),
    "TimeoutError": lambda: _raises(TimeoutError(SECRET)),
    "ConnectError": lambda: _raises(httpx.ConnectError(SECRET)),
    "OperationalError": lambda: _raises(OperationalError(SECRET, None, OSError(SECRET))),
    "SystemExit": lambda: _raises(SystemExit(SECRET)),
    "GeneratorExit": lambda: _raises(GeneratorExit(SECRET)),
    "BaseExceptionGroup": lambda: _raises(BaseExceptionGroup(SECRET, [SystemExit(SECRET)])),
    "CancelledError": _cancels,
    "took longer than": lambda: asyncio.sleep(60),
}


def minting(deed: str) -> Any:
    """A minter that does `deed` for the bad item."""

    async def mint(_runtime: Runtime, notifications: Any) -> dict[Any, dict[str, str]]:
        for one in notifications:
            if BAD in one.data["text"]:
                await DEEDS[deed]()
        return {one.id: {} for one in notifications}

    return mint


def attaching(deed: str) -> Any:
    """An attacher that does `deed` for the bad item."""

    async def attach(facts: Note) -> list[Attachment]:
        if BAD in facts.text:
            await DEEDS[deed]()
        return []

    return attach


class Tripping(Note):
    """Facts that are accepted, and that cannot be read once `armed`."""

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
    """A message's content on which every operation fails."""

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
    """Mint half a surrogate pair, which has no encoding."""
    return {one.id: {"text": f"{one.data['text']}\ud800"} for one in notifications if BAD in one.data["text"]}


async def mint_what_is_no_text(_runtime: Runtime, notifications: Any) -> dict[Any, dict[str, Any]]:
    return {one.id: {"ticket": object() if BAD in one.data["text"] else "k4n4ry"} for one in notifications}


def tripping_group(facts: Note) -> str:
    trips(facts.text, ZeroDivisionError)
    return facts.text


GROUPING = Grouping(key=tripping_group, window=timedelta(minutes=5))


async def refuse_rows(ledger: Ledger, when: str, table: str, condition: str = "1 = 1") -> None:
    """Make the ledger (on SQLite) refuse rows of the bad item, and keep facts in the clear. when: INSERT or
    UPDATE."""
    ledger.sealing.ring = in_clear()
    owner = "NEW.id" if table == "notifications" else "NEW.notification_id"
    data = "NEW.data" if table == "notifications" else f"(SELECT data FROM notifications WHERE id = {owner})"
    await run_sql(
        ledger,
        f"CREATE TRIGGER poison BEFORE {when} ON {table} WHEN {data} LIKE '%{BAD}%' AND {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{SECRET}'); END",
    )
