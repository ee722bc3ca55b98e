"""Welcome: the account is ready, and where to begin."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Link, NotificationType, Report, Request, Text
from waypost.tasks import deliver, fallback, lookup, render, report


class Welcome(Facts):
    """What the recipient has signed up for."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    start_url: Annotated[
        Link,
        Field(
            description="The page to begin with. A button opens it.", examples=["https://shop.example/start"]
        ),
    ]
    guide_url: Annotated[
        Link | None,
        Field(description="A page of first steps.", examples=["https://shop.example/guide"]),
    ] = None


TYPE = NotificationType(
    name="welcome",
    facts=Welcome,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(days=2),
)


@flow(name=TYPE.name)
async def welcome(requests: list[Request[Welcome]] = [], batch: UUID | None = None) -> State[Report]:
    """Welcome each new customer."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
