"""Membership expiry: a membership ends soon.

On a schedule, its source names who is due.
"""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Link, ListAddress, NotificationType, Priority, Report, Request, Text
from waypost.tasks import deliver, due, fallback, render, report


class Membership(Facts):
    """A membership and its last day."""

    membership: Annotated[Text, Field(description="Its name.", examples=["Harbour Friends"])]
    expires_on: Annotated[date, Field(description="Its last day.", examples=["2026-03-31"])]
    renew_url: Annotated[
        Link | None, Field(description="The page that renews it.", examples=["https://shop.example/renew"])
    ] = None
    unsubscribe_url: Annotated[ListAddress | None, Field(description="The page that stops these mails.")] = (
        None
    )


TYPE = NotificationType(
    name="membership-expiry",
    facts=Membership,
    category=Category.TRANSACTIONAL,
    priority=Priority.BULK,
    route=("email", "sms"),
    deadline=timedelta(hours=24),
    cron="0 8 * * *",
    asks_source=True,
    list_unsubscribe="{{ unsubscribe_url or '' }}",
)


@flow(name=TYPE.name)
async def membership_expiry(
    requests: list[Request[Membership]] = [], batch: UUID | None = None
) -> State[Report]:
    """Remind each member whose membership ends. Without requests, the source names them."""
    notifications = await due(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
