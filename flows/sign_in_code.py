"""Sign-in code: let a person in with a code instead of a password, or beside it.

Waypost mints the code itself. `waypost verify RECIPIENT CODE --type sign-in-code` checks a code.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import Field

from waypost import Category, Facts, Line, NotificationType, Report, Request, RetryPolicy, Text
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.verification.codes import Proof

CODE = Proof(lifetime=timedelta(minutes=10), page=None)


class SignIn(Facts):
    """Where the person signs in."""

    product: Annotated[Text, Field(description="Its name.", examples=["Harbour Books"])]
    device: Annotated[
        Line | None,
        Field(description="The browser or app that asked for the code.", examples=["Firefox on Windows"]),
    ] = None


TYPE = NotificationType(
    name="sign-in-code",
    facts=SignIn,
    category=Category.SECURITY,
    route=("email", "sms"),
    deadline=CODE.lifetime,
    retry=RetryPolicy(first=timedelta(seconds=5), longest=timedelta(minutes=1)),
    mint=CODE,
    minted=CODE.minted,
)


@flow(name=TYPE.name)
async def sign_in_code(requests: list[Request[SignIn]] = [], batch: UUID | None = None) -> State[Report]:
    """Send each person a new code. It expires after 10 minutes."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
