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
    """The attachments of each mail, at most `megabytes` before encoding, or an error instead:
    AttachmentError, readable by people, ItemFailed if the type's own code fails, or PutOff."""
    if (attach := type.attachments) is None:
        return {}
    preparing = Preparing[Sequence[Attachment]]("making its attachments", type.preparation, AttachmentError)
    mailed = [one for one in notifications if one.recipient.email]
    return await preparing.each(mailed, lambda one: _attached(type, attach, one, megabytes))


async def _attached(
    type: NotificationType, attach: Attacher, notification: Notification, megabytes: float
) -> Sequence[Attachment]:
    """The attachments of one mail. Raises AttachmentError, and any exception of the type's code."""
    try:
        facts = type.facts.model_validate(notification.data)
    except ValidationError:
        return ()  # rendering reports the error
    found = [_checked(one) for one in await attach(facts)]
    size = total(found) / MEGABYTE
    if size > megabytes:
        raise AttachmentError(
            f"its attachments have {size:.1f} MB; WAYPOST_ATTACHMENT_MEGABYTES allows {megabytes:g}"
        )
    return found


def _checked(one: object) -> Attachment:
    if not isinstance(one, Attachment):
        raise AttachmentError("its attachments must be of the form Attachment(name, content)")
    return one
