"""Order shipped: what is on its way, with whom, and when it arrives."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Line, Link, NotificationType, Report, Request, Text
from waypost.tasks import deliver, fallback, lookup, render, report


class ShippedItem(Facts):
    """An item in the parcel."""

    product: Annotated[Text, Field(examples=["Rye flour, 25 kg"])]
    quantity: Annotated[int, Field(gt=0, lt=1_000_000_000, examples=[8])]


class Shipment(Facts):
    """A parcel that has left. An order may have several."""

    order_id: Annotated[Text, Field(examples=["1042"])]
    carrier: Annotated[Text, Field(description="Who delivers it.", examples=["Northwind Parcel"])]
    tracking_number: Annotated[Line | None, Field(examples=["NW 4471 9920 18"])] = None
    tracking_url: Annotated[
        Link | None,
        Field(
            description="The carrier's page of the parcel. A button opens it.",
            examples=["https://parcel.example/t/NW4471992018"],
        ),
    ] = None
    expected_on: Annotated[date | None, Field(description="The day it arrives.", examples=["2026-03-05"])] = (
        None
    )
    items: Annotated[
        list[ShippedItem], Field(max_length=1000, default_factory=list, description="What is in the parcel.")
    ]


TYPE = NotificationType(
    name="order-shipped",
    facts=Shipment,
    category=Category.TRANSACTIONAL,
    route=("email", "sms"),
    deadline=timedelta(hours=24),
)


@flow(name=TYPE.name)
async def order_shipped(requests: list[Request[Shipment]] = [], batch: UUID | None = None) -> State[Report]:
    """Tell each buyer once for each parcel."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
