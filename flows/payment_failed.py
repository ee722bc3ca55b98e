"""Payment failed: what could not be charged, when it is tried again, and where to put it right."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Line, Link, NotificationType, Report, Request, Text
from waypost.model.money import Amount, Currency
from waypost.tasks import deliver, fallback, lookup, render, report


class FailedPayment(Facts):
    """A payment that was refused."""

    invoice: Annotated[Text, Field(description="The invoice or order to pay.", examples=["INV-2026-0318"])]
    amount: Annotated[Amount, Field(examples=["49.00"])]
    currency: Currency
    method: Annotated[
        Line | None, Field(description="What was charged, in short.", examples=["Visa •••• 4242"])
    ] = None
    retry_on: Annotated[
        date | None,
        Field(description="The day of the next try, if there is another.", examples=["2026-03-28"]),
    ] = None
    pay_url: Annotated[
        Link,
        Field(
            description="The page to pay or to change the means of payment. A button opens it.",
            examples=["https://shop.example/billing"],
        ),
    ]


TYPE = NotificationType(
    name="payment-failed",
    facts=FailedPayment,
    category=Category.TRANSACTIONAL,
    route=("email", "sms"),
    deadline=timedelta(hours=24),
)


@flow(name=TYPE.name)
async def payment_failed(
    requests: list[Request[FailedPayment]] = [], batch: UUID | None = None
) -> State[Report]:
    """Tell each customer once for each failed try."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
