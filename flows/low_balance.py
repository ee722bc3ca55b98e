"""Low balance: an account needs money before its next payment.

On a schedule, its source names who is due.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field, WithJsonSchema

from waypost import Category, Facts, Line, Link, ListAddress, NotificationType, Priority, Report, Request
from waypost.model.money import Currency
from waypost.tasks import deliver, due, fallback, render, report

PLAIN = r"^-?\d{1,10}(\.\d{1,6})?$"  # one plain type, which Prefect's form can leave out
Signed = Annotated[Decimal, Field(max_digits=16, decimal_places=6)]


class Balance(Facts):
    """An account and what is left on it."""

    account: Annotated[Line, Field(description="Its name or number, masked.", examples=["Main account"])] = ""
    balance: Annotated[Signed, Field(description="What is left.", examples=["4.20"])]
    minimum: Annotated[
        Annotated[Signed, WithJsonSchema({"type": "string", "pattern": PLAIN})] | None,
        Field(description="Below it, the balance is low.", examples=["10.00"]),
    ] = None
    currency: Currency
    top_up_url: Annotated[Link | None, Field(description="The page where money is added.")] = None
    unsubscribe_url: Annotated[ListAddress | None, Field(description="The page that stops these mails.")] = (
        None
    )


TYPE = NotificationType(
    name="low-balance",
    facts=Balance,
    category=Category.TRANSACTIONAL,
    priority=Priority.BULK,
    route=("email", "sms"),
    deadline=timedelta(hours=24),
    cron="0 8 * * *",
    asks_source=True,
    list_unsubscribe="{{ unsubscribe_url or '' }}",
)


@flow(name=TYPE.name)
async def low_balance(requests: list[Request[Balance]] = [], batch: UUID | None = None) -> State[Report]:
    """Remind each person whose balance is low. Without requests, the source names them."""
    notifications = await due(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
