"""The files a type attaches to its mails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from pydantic import ValidationError

from waypost.mail.attachment import Attachment, AttachmentError, total
from waypost.model.notification import Notification
from waypost.model.notification_type import Attacher, NotificationType
from waypost.rendering.preparing import Preparing

MEGABYTE = 1_000_000  # bytes


async def attached_to_each(
    type: NotificationType, notifications: Sequence[Notification], megabytes: float
) -> Mapping[UUID, Sequence[Attachment] | Exception]:
    """What goes with each mail, `megabytes` at most before it is encoded, or why there is no answer:
    AttachmentError, fit for people, ItemFailed for what the type's own code raises, and PutOff."""
    if (attach := type.attachments) is None:
        return {}
    preparing = Preparing[Sequence[Attachment]]("making its attachments", type.preparation, AttachmentError)
    mailed = [one for one in notifications if one.recipient.email]
    return await preparing.each(mailed, lambda one: _attached(type, attach, one, megabytes))


async def _attached(
    type: NotificationType, attach: Attacher, notification: Notification, megabytes: float
) -> Sequence[Attachment]:
    """What goes with one mail. Raises AttachmentError, and what the type's code raises."""
    try:
        facts = type.facts.model_validate(notification.data)
    except ValidationError:
        return ()  # rendering tells why
    found = [_checked(one) for one in await attach(facts)]
    size = total(found) / MEGABYTE
    if size > megabytes:
        raise AttachmentError(
            f"its attachments have {size:.1f} MB, more than the {megabytes:g} of WAYPOST_ATTACHMENT_MEGABYTES"
        )
    return found


def _checked(one: object) -> Attachment:
    if not isinstance(one, Attachment):
        raise AttachmentError("its attachments are something other than Attachment(name, content)")
    return one
