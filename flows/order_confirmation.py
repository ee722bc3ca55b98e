"""Order confirmation: what was bought, what it costs, where it goes."""

from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field, computed_field

from waypost import Category, Facts, Line, Link, NotificationType, Report, Request, Text
from waypost.model.money import Amount, Currency, exact
from waypost.tasks import deliver, fallback, lookup, render, report


class OrderLine(Facts):
    """One line of an order."""

    product: Annotated[Text, Field(examples=["Rye flour, 25 kg"])]
    quantity: Annotated[int, Field(gt=0, lt=1_000_000_000, examples=[8])]
    unit_price: Annotated[Amount, Field(examples=["21.40"])]
    discount: Annotated[
        Amount, Field(le=1, description="A fraction: 0.15 takes 15 % off.", examples=["0.15"])
    ] = Decimal(0)

    @cached_property
    def gross(self) -> Decimal:
        with exact():
            return self.unit_price * self.quantity

    @computed_field
    @cached_property
    def total(self) -> Decimal:
        """Exact; rounded only when shown."""
        with exact():
            return self.gross * (1 - self.discount)


class ShipTo(Facts):
    """Where the order goes."""

    name: Annotated[Text, Field(examples=["Ada Lovelace"])]
    address: Annotated[str, Field(max_length=300, examples=["Bahnhofstrasse 1"])]
    city: Annotated[str, Field(max_length=100, examples=["Zurich"])]
    region: Annotated[
        Annotated[str, Field(max_length=100)] | None,
        Field(description="The state, province or prefecture, where addresses have it.", examples=["NM"]),
    ] = None
    postal_code: Annotated[Annotated[str, Field(max_length=20)] | None, Field(examples=["8001"])] = None
    country: Annotated[
        str,
        Field(
            max_length=100,
            description="Its name, or its ISO code, which is shown by name. It decides the order of lines.",
            examples=["Switzerland"],
        ),
    ]


class Order(Facts):
    """An order as it was placed. Its total is that of the lines after discount, plus freight."""

    order_id: Annotated[Text, Field(examples=["1042"])]
    ordered_at: Annotated[date, Field(examples=["2026-03-02"])]
    company: Annotated[Line, Field(description="The buyer's company, if it has one.")] = ""
    currency: Currency
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=1000, description="What was bought.")]
    freight: Annotated[Amount, Field(description="What the delivery costs.", examples=["14.90"])] = Decimal(0)
    ship_to: Annotated[ShipTo, Field(description="Where the order goes.")]
    order_url: Annotated[
        Link | None,
        Field(
            description="The buyer's page of the order. A button opens it.",
            examples=["https://shop.example/orders/1042"],
        ),
    ] = None

    @computed_field
    @cached_property
    def subtotal(self) -> Decimal:
        with exact():
            return sum((line.total for line in self.lines), Decimal(0))

    @computed_field
    @cached_property
    def savings(self) -> Decimal:
        with exact():
            return sum((line.gross - line.total for line in self.lines), Decimal(0))

    @computed_field
    @cached_property
    def total(self) -> Decimal:
        with exact():
            return self.subtotal + self.freight


TYPE = NotificationType(
    name="order-confirmation",
    facts=Order,
    category=Category.TRANSACTIONAL,
    route=("email", "sms"),
    deadline=timedelta(hours=24),
)


@flow(name=TYPE.name)
async def order_confirmation(requests: list[Request[Order]] = [], batch: UUID | None = None) -> State[Report]:
    """Confirm each order to its buyer, once. The report accounts for every request."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
