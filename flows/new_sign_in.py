"""New sign-in: somebody signed in from a device that the account has not used before."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Line, Link, Moment, NotificationType, Report, Request, Text
from waypost.tasks import deliver, fallback, lookup, render, report


class NewSignIn(Facts):
    """When, where and with what."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    at: Annotated[Moment, Field(description="When it was.", examples=["2026-03-25T03:14:09+01:00"])]
    device: Annotated[Text, Field(description="The browser or app.", examples=["Firefox on Windows"])]
    place: Annotated[
        Line | None, Field(description="Where, as far as known.", examples=["Lisbon, Portugal"])
    ] = None
    ip: Annotated[Line | None, Field(description="The IP address.", examples=["203.0.113.7"])] = None
    secure_url: Annotated[
        Link,
        Field(
            description="The page to end the session and change the password. A button opens it.",
            examples=["https://shop.example/account/security"],
        ),
    ]


TYPE = NotificationType(
    name="new-sign-in",
    facts=NewSignIn,
    category=Category.SECURITY,
    route=("email", "sms"),
    deadline=timedelta(hours=12),
)


@flow(name=TYPE.name)
async def new_sign_in(requests: list[Request[NewSignIn]] = [], batch: UUID | None = None) -> State[Report]:
    """Warn each person once for each sign-in."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
