"""Address change: prove that a new address is theirs, with a code or a click, before the account uses it.

Waypost mints code and link itself. The request goes to the new address.
`waypost verify RECIPIENT CODE` checks a code.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Link, NotificationType, Report, Request, RetryPolicy, Text
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.verification.codes import LIFETIME, MINTED, mint


class AddressChange(Facts):
    """The account that is to use the address."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    verify_url: Annotated[
        Link,
        Field(
            description="The page that the link opens. A signed token is added to its query.",
            examples=["https://shop.example/account/address"],
        ),
    ]


TYPE = NotificationType(
    name="address-change",
    facts=AddressChange,
    category=Category.SECURITY,
    route=("email",),  # a code that came by SMS would prove nothing about the address
    deadline=LIFETIME,
    retry=RetryPolicy(first=timedelta(seconds=5), longest=timedelta(minutes=1)),
    mint=mint,
    minted=MINTED,
)


@flow(name=TYPE.name)
async def address_change(
    requests: list[Request[AddressChange]] = [], batch: UUID | None = None
) -> State[Report]:
    """Send each new address a code and a link. Both expire after 15 minutes."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
