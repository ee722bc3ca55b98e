"""Password reset: a link to choose a new password.

Waypost mints the link itself, so that it is never a fact or a Prefect parameter. `verify_link` of
`waypost.verification.codes` checks its token.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Line, Link, NotificationType, Report, Request, RetryPolicy, Text
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.verification.codes import Proof

RESET = Proof(lifetime=timedelta(minutes=30), code=False, page="reset_url")


class PasswordReset(Facts):
    """The account whose password is to change."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    account: Annotated[
        Line | None,
        Field(description="The user name, if a person may have several accounts.", examples=["ada.l"]),
    ] = None
    reset_url: Annotated[
        Link,
        Field(
            description="The page that the link opens. A signed token is added to its query.",
            examples=["https://shop.example/password"],
        ),
    ]


TYPE = NotificationType(
    name="password-reset",
    facts=PasswordReset,
    category=Category.SECURITY,
    route=("email",),
    deadline=RESET.lifetime,
    retry=RetryPolicy(first=timedelta(seconds=5), longest=timedelta(minutes=1)),
    mint=RESET,
    minted=RESET.minted,
)


@flow(name=TYPE.name)
async def password_reset(
    requests: list[Request[PasswordReset]] = [], batch: UUID | None = None
) -> State[Report]:
    """Send each person a new link. It expires after 30 minutes."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
