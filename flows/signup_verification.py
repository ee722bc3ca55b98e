"""Signup verification: prove that an address is theirs, with a code or a click.

Waypost mints code and link itself, so that neither is ever a fact or a Prefect parameter.
`waypost verify RECIPIENT CODE` checks one.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Link, NotificationType, Report, Request, RetryPolicy, Text
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.verification.codes import LIFETIME, MINTED, mint


class Signup(Facts):
    """What the recipient signs up for."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    verify_url: Annotated[
        Link,
        Field(
            description="The page that the link opens. A signed token is added to its query.",
            examples=["https://shop.example/verify"],
        ),
    ]


TYPE = NotificationType(
    name="signup-verification",
    facts=Signup,
    category=Category.SECURITY,
    route=("email",),  # a code that came by SMS would prove nothing about the address
    deadline=LIFETIME,
    retry=RetryPolicy(first=timedelta(seconds=5), longest=timedelta(minutes=1)),
    mint=mint,
    minted=MINTED,
)


@flow(name=TYPE.name)
async def signup_verification(
    requests: list[Request[Signup]] = [], batch: UUID | None = None
) -> State[Report]:
    """Send each recipient a new code and link. Both expire after 15 minutes."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
