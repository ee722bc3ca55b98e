"""Invitation: somebody asks the recipient to join a team, a project or a shared list.

Waypost mints the link itself. `verify_link` of `waypost.verification.codes` checks its token.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Link, NotificationType, Report, Request, Text
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.verification.codes import Proof

# Who joins one team may still join another.
INVITATION = Proof(lifetime=timedelta(days=7), code=False, page="accept_url", ends_older=False)


class Invitation(Facts):
    """Who invites, and to what."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    inviter: Annotated[Text, Field(description="The person who invites.", examples=["Grace Hopper"])]
    group: Annotated[Text, Field(description="What to join.", examples=["Reading circle"])]
    accept_url: Annotated[
        Link,
        Field(
            description="The page that the link opens. A signed token is added to its query.",
            examples=["https://shop.example/join"],
        ),
    ]


TYPE = NotificationType(
    name="invitation",
    facts=Invitation,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(days=2),
    mint=INVITATION,
    minted=INVITATION.minted,
)


@flow(name=TYPE.name)
async def invitation(requests: list[Request[Invitation]] = [], batch: UUID | None = None) -> State[Report]:
    """Invite each person. The link expires after 7 days."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
