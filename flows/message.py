"""Message: a mail that its author composed, sent unchanged and without templates."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import State, flow
from pydantic import AfterValidator, Field

from waypost import Category, Facts, NotificationType, Report, Request, parse_raw_message
from waypost.tasks import deliver, fallback, lookup, render, report


def _to_pass_on(mime: str) -> str:
    """The mail without the headers that no reader is to see, so that the ledger does not keep them either."""
    if "\r" not in mime:
        mime = mime.replace("\n", "\r\n")  # a form of Prefect sends lines that end in LF
    try:
        mail = parse_raw_message(mime.encode("latin-1"))
    except UnicodeEncodeError:
        raise ValueError("a letter is outside ISO 8859-1, in which each letter stands for a byte") from None
    return bytes(mail.to_pass_on()).decode("latin-1")


class Mail(Facts):
    """A finished mail."""

    mime: Annotated[
        str,
        Field(
            min_length=1,
            description="The message with its headers (RFC 5322), lines ended by CRLF or all by LF. Each "
            "character stands for a byte (ISO 8859-1).",
            examples=["From: shop@shop.example\r\nSubject: Hello\r\n\r\nHello Ada,\r\n"],
        ),
        AfterValidator(_to_pass_on),
    ]


TYPE = NotificationType(
    name="message",
    facts=Mail,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(hours=24),
    batch_size=25,  # each may have ten megabytes
    finished=lambda mail: mail.mime.encode("latin-1"),
)


@flow(name=TYPE.name)
async def message(requests: list[Request[Mail]] = [], batch: UUID | None = None) -> State[Report]:
    """Send each mail to its recipient."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
