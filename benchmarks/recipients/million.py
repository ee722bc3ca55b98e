"""A ledger on PostgreSQL with a million recipients: a tenth of them chose something for marketing, one in
fifty addresses is suppressed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from benchmarks.harness import sample_ledgers
from benchmarks.harness.progress import say
from waypost import Category, Request
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.ledger.database import sealing, tables
from waypost.ledger.database.bulk import insert_many
from waypost.model.notification_type import NotificationType
from waypost.model.request import AnyRequest
from waypost.system.clock import now
from waypost.system.key_ring import DataKey, KeyRing

RECIPIENTS = 1_000_000
NEWS: NotificationType = replace(TYPE, category=Category.MARKETING)
CODES: NotificationType = replace(TYPE, name="codes", category=Category.SECURITY)

AT_ONCE = 5_000  # recipients that are written in one transaction
RING = KeyRing([DataKey("benchmark", bytes(range(32)))])


@asynccontextmanager
async def recipients() -> AsyncGenerator[Ledger]:
    """The ledger; its personal data is sealed. Raises NotMeasured without PostgreSQL."""
    async with sample_ledgers.empty("PostgreSQL", RING) as ledger:
        say(f"making {RECIPIENTS:,} recipients")
        for start in range(0, RECIPIENTS, AT_ONCE):
            people = range(start + 1, start + AT_ONCE + 1)
            await ledger.write(lambda connection, people=people: _make(connection, people))
        await ledger.write(lambda connection: connection.execute(sa.text("ANALYZE")))
        yield ledger


def _make(connection: sa.Connection, people: range) -> None:
    """These recipients, with what they chose, and their suppressions."""
    box, moment = sealing.of(connection), now()
    box.prepare(connection)
    rows = [{**_PERSON, "key": f"r-{n}", "email": _address(n), "updated_at": moment} for n in people]
    insert_many(connection, tables.recipients, box.sealed_all(tables.recipients, rows))
    chosen = [
        {**_CHOICE, "recipient_key": f"r-{n}", "cadence": _CADENCES[n % 20 == 0], "updated_at": moment}
        for n in people
        if n % 10 == 0
    ]
    insert_many(connection, tables.preferences, chosen)
    stopped = [
        {**_STOP, "address": box.stored_key(connection, f"mailto:{_address(n)}"), "created_at": moment}
        for n in people
        if n % 50 == 49
    ]
    insert_many(connection, tables.suppressions, stopped)


_PERSON = {"client": "", "locale": "de", "timezone": "Europe/Berlin"}
_CHOICE = {"client": "", "category": "marketing", "chosen_by": "api"}
_CADENCES = {True: "never", False: "at once"}
_STOP = {"client": "*", "scope": "", "cause": "hard bounce"}


def _address(person: int) -> str:
    return f"r-{person}@buyer.example"


def request(type: NotificationType, person: int, series: str) -> AnyRequest:
    """A request to one of the million."""
    shape: Any = Request[type.facts]
    made = shape.model_validate_json(next(sample_ledgers.lines(series)))
    return made.model_copy(
        update={"recipient": made.recipient.model_copy(update={"id": f"r-{person}", "email": None})}
    )
