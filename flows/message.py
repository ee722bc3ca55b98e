"""Message: a mail that its author finished, passed on as it is. No template has a part in it."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from prefect import flow
from pydantic import AfterValidator, Field

from tasks import deliver, fallback, lookup, render, report
from waypost import Category, Facts, NotificationType, Report, Request, parse_raw_message


def _to_pass_on(mime: str) -> str:
    """The mail without the headers that no reader is to see, so that the ledger does not keep them either."""
    try:
        mail = parse_raw_message(mime.encode("latin-1"))
    except UnicodeEncodeError:
        raise ValueError(
            "each letter stands for a byte (ISO 8859-1), and one letter is outside that range"
        ) from None
    return bytes(mail.to_pass_on()).decode("latin-1")


class Mail(Facts):
    """mime: an RFC 5322 message with its headers, lines ended by CRLF; each letter is a byte (ISO 8859-1)."""

    mime: Annotated[str, Field(min_length=1), AfterValidator(_to_pass_on)]


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
async def message(requests: list[Request[Mail]] = [], batch: UUID | None = None) -> Report:
    """Pass each on to its recipient."""
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
