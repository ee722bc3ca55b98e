"""Refund: how much goes back, to where, and by when."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Line, Link, NotificationType, Report, Request, Text
from waypost.model.money import Amount, Currency
from waypost.tasks import deliver, fallback, lookup, render, report


class Refund(Facts):
    """Money that goes back to the buyer."""

    order_id: Annotated[Text, Field(examples=["1042"])]
    amount: Annotated[Amount, Field(examples=["21.40"])]
    currency: Currency
    method: Annotated[
        Line | None, Field(description="Where it goes, in short.", examples=["Visa •••• 4242"])
    ] = None
    arrives_by: Annotated[
        date | None, Field(description="The day by which it arrives.", examples=["2026-04-02"])
    ] = None
    order_url: Annotated[
        Link | None,
        Field(
            description="The buyer's page of the order. A button opens it.",
            examples=["https://shop.example/orders/1042"],
        ),
    ] = None


TYPE = NotificationType(
    name="refund",
    facts=Refund,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(days=2),
)


@flow(name=TYPE.name)
async def refund(requests: list[Request[Refund]] = [], batch: UUID | None = None) -> State[Report]:
    """Tell each buyer once for each refund."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
