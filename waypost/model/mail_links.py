"""The links by which the recipient of a mail chooses what they receive."""

from __future__ import annotations

from dataclasses import dataclass, field

from waypost.model.notification_type import NotificationType


@dataclass(frozen=True, slots=True)
class MailLinks:
    """The links of one notification, as URLs; empty where there are none.

    unsubscribe: turns the notification's category off, also by the POST of RFC 8058. preferences: the page on
    which the recipient chooses. confirm: confirms the category that the type's facts name. Each lets its
    holder choose for the recipient: they are kept out of reprs.
    """

    unsubscribe: str = field(default="", repr=False)
    preferences: str = field(default="", repr=False)
    confirm: str = field(default="", repr=False)


NO_LINKS = MailLinks()
_CONFIRMING = MailLinks(confirm="https://waypost.invalid/c/confirm")


def shown_links(type: NotificationType) -> MailLinks:
    """What stands for the links where a mail is shown and not sent: a mail that asks for a confirmation is
    not complete without its link."""
    return _CONFIRMING if type.confirms else NO_LINKS
