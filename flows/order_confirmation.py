"""Order confirmation: what was bought, what it costs, where it goes."""

from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated
from uuid import UUID

from prefect import flow
from pydantic import AfterValidator, Field, computed_field

from tasks import deliver, fallback, lookup, render, report
from waypost import Category, Facts, Line, NotificationType, Report, Request, Text
from waypost.model.money import Amount, exact, known_currency


class OrderLine(Facts):
    """`discount` is a fraction: 0.15 takes 15 % off."""

    product: Text
    quantity: Annotated[int, Field(gt=0, lt=1_000_000_000)]
    unit_price: Amount
    discount: Annotated[Amount, Field(le=1)] = Decimal(0)

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
    name: Text
    address: Annotated[str, Field(max_length=300)]
    city: Annotated[str, Field(max_length=100)]
    postal_code: Annotated[str, Field(max_length=20)] | None = None
    country: Annotated[str, Field(max_length=100)]


class Order(Facts):
    """An order as it was placed. The total is that of the lines after discount, plus freight."""

    order_id: Text
    ordered_at: date
    company: Line = ""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$"), AfterValidator(known_currency)]
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=1000)]
    freight: Amount = Decimal(0)
    ship_to: ShipTo

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
async def order_confirmation(requests: list[Request[Order]] = [], batch: UUID | None = None) -> Report:
    """Tell each buyer once; the report accounts for every request."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
