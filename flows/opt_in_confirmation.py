"""Opt-in confirmation: ask the recipient to confirm a category (double opt-in).

Waypost makes the link itself, so that it is never a fact or a Prefect parameter. Its page confirms the
category.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, NotificationType, Report, Request, Text
from waypost.tasks import deliver, fallback, lookup, render, report


class Subscription(Facts):
    """What the recipient asked for."""

    category: Annotated[
        Category, Field(description="The category that the recipient confirms.", examples=["marketing"])
    ]
    subscription: Annotated[
        Text, Field(description="What it is called.", examples=["Harbour Books newsletter"])
    ]


TYPE = NotificationType(
    name="opt-in-confirmation",
    facts=Subscription,
    category=Category.TRANSACTIONAL,
    route=("email",),  # a link that came by SMS would prove nothing about the address
    deadline=timedelta(days=2),
    confirms="category",
)


@flow(name=TYPE.name)
async def opt_in_confirmation(
    requests: list[Request[Subscription]] = [], batch: UUID | None = None
) -> State[Report]:
    """Ask each recipient to confirm what they asked for."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
