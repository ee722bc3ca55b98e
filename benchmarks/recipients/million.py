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
from waypost.model.notification_type import NotificationType
from waypost.model.request import AnyRequest

RECIPIENTS = 1_000_000
NEWS: NotificationType = replace(TYPE, category=Category.MARKETING)
CODES: NotificationType = replace(TYPE, name="codes", category=Category.SECURITY)

_FILL = (
    """INSERT INTO recipients (client, key, email, locale, timezone, updated_at)
    SELECT '', 'r-' || n, 'r-' || n || '@buyer.example', 'de', 'Europe/Berlin', now()
    FROM generate_series(1, :count) AS n""",
    """INSERT INTO preferences (client, recipient_key, category, cadence, chosen_by, updated_at)
    SELECT '', 'r-' || n, 'marketing', CASE WHEN n % 20 = 0 THEN 'never' ELSE 'at once' END, 'api', now()
    FROM generate_series(10, :count, 10) AS n""",
    """INSERT INTO suppressions (address, client, scope, cause, created_at)
    SELECT 'mailto:r-' || n || '@buyer.example', '*', '', 'hard bounce', now()
    FROM generate_series(49, :count, 50) AS n""",
    "ANALYZE",
)


@asynccontextmanager
async def recipients() -> AsyncGenerator[Ledger]:
    """The ledger. Raises NotMeasured without PostgreSQL."""
    async with sample_ledgers.empty("PostgreSQL") as ledger:
        say(f"making {RECIPIENTS:,} recipients")
        for statement in _FILL:
            text = sa.text(statement)
            values = {"count": RECIPIENTS} if ":count" in statement else {}
            await ledger.write(lambda connection, text=text, values=values: connection.execute(text, values))
        yield ledger


def request(type: NotificationType, person: int, series: str) -> AnyRequest:
    """A request to one of the million."""
    shape: Any = Request[type.facts]
    made = shape.model_validate_json(next(sample_ledgers.lines(series)))
    return made.model_copy(
        update={"recipient": made.recipient.model_copy(update={"id": f"r-{person}", "email": None})}
    )
