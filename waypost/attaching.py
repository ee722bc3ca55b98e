"""The files a type attaches to its mails."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from waypost.isolation import isolated
from waypost.mail.attachment import Attachment, AttachmentError, total
from waypost.notification import Notification
from waypost.notification_type import NotificationType

MEGABYTE = 1_000_000  # bytes


async def attached(
    type: NotificationType, notification: Notification, megabytes: float
) -> Sequence[Attachment]:
    """What goes with the mail of one notification, `megabytes` at most before it is encoded.

    Raises AttachmentError, fit for people, and ItemFailed for what the type's own code raises.
    """
    if type.attachments is None or not notification.recipient.email:
        return ()
    try:
        facts = type.facts.model_validate(notification.data)
    except ValidationError:
        return ()  # rendering tells why
    with isolated("making its attachments", AttachmentError, item=notification.id):
        found = [_checked(one) for one in await type.attachments(facts)]
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
