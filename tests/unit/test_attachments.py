"""What a type attaches: made of its facts, within a limit, and nobody else's trouble when it fails."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from waypost import Attachment, Category, Facts, NotificationType, Priority
from waypost.mail.attachment import AttachmentError
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.rendering.attachments import attached_to_each
from waypost.system.isolation import ItemFailed

pytestmark = pytest.mark.anyio


class Bill(Facts):
    number: int


def bill(attachments):
    return NotificationType(
        name="bill", facts=Bill, category=Category.TRANSACTIONAL, route=("email", "sms"),
        deadline=timedelta(hours=1), attachments=attachments,
    )  # fmt: skip


def to(email="ada@a.example", **data):
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    person = ResolvedRecipient("ada", email, "+4917012345", "Ada", "en", "UTC")
    return Notification(UUID(int=7), "bill", Priority.NORMAL, person, data, 1, moment, moment)


async def attached(type, notification, megabytes=1):
    [*found] = (await attached_to_each(type, [notification], megabytes)).values()
    return found[0] if found else ()


async def of_its_facts(facts):
    return [Attachment(f"bill-{facts.number}.pdf", b"x" * facts.number)]


async def of_a_file(facts):
    raise FileNotFoundError("hunter2")


async def of_nothing_known(facts):
    return [("bill.pdf", b"")]


async def of_text(facts):
    return [Attachment("bill.txt", "hunter2")]


async def test_attachments_are_made_of_the_facts():
    [file] = await attached(bill(of_its_facts), to(number=7), megabytes=1)
    assert (file.name, file.content) == ("bill-7.pdf", b"x" * 7)


@pytest.mark.parametrize(
    ("type", "notification"),
    [
        (bill(None), to(number=7)),
        (bill(of_a_file), to(number=7, email=None)),
        (bill(of_a_file), to(number="no number")),
    ],
)
async def test_nothing_is_made_where_nothing_goes_with_it(type, notification):
    assert await attached(type, notification, megabytes=1) == ()


@pytest.mark.parametrize(
    ("attachments", "why"),
    [
        (of_a_file, "making its attachments failed unexpectedly: FileNotFoundError (see the log)"),
        (of_text, "making its attachments failed unexpectedly: TypeError (see the log)"),
        (of_nothing_known, "its attachments must be of the form Attachment(name, content)"),
        (of_its_facts, "its attachments have 2.5 MB; WAYPOST_ATTACHMENT_MEGABYTES allows 1.5"),
    ],
)
async def test_what_goes_wrong_is_told_and_what_was_in_it_is_not(attachments, why):
    refused = await attached(bill(attachments), to(number=2_500_000), megabytes=1.5)
    assert isinstance(refused, (AttachmentError, ItemFailed))
    assert str(refused) == why
