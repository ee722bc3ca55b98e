"""The files a type attaches to its mails."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from waypost.mail.attachment import Attachment, AttachmentError, total
from waypost.notification import Notification
from waypost.notification_type import NotificationType

MEGABYTE = 1_000_000  # bytes


async def attached(
    type: NotificationType, notification: Notification, megabytes: float
) -> Sequence[Attachment]:
    """What goes with the mail of one notification, `megabytes` at most before it is encoded.

    Raises AttachmentError, fit for people, for whatever goes wrong while it is made.
    """
    if type.attachments is None or not notification.recipient.email:
        return ()
    try:
        facts = type.facts.model_validate(notification.data)
    except ValidationError:
        return ()  # rendering tells why
    try:
        found = [_checked(one) for one in await type.attachments(facts)]
    except AttachmentError:
        raise
    except Exception as error:  # the type's own code, and whatever it reads
        raise AttachmentError(f"its attachments could not be made ({error.__class__.__name__})") from None
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
