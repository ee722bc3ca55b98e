"""The links by which the recipient of a mail chooses what they receive."""

from __future__ import annotations

from dataclasses import dataclass, field

from waypost.model.notification_type import NotificationType


@dataclass(frozen=True, slots=True)
class MailLinks:
    """The links of one notification, as URLs; empty where there are none.

    unsubscribe: turns the notification's category off, also by the POST of RFC 8058; without pages, it is
    `unsubscribe_by_mail`. preferences: the page on which the recipient chooses. confirm: confirms the
    category that the type's facts name. unsubscribe_by_mail: the mailto address that turns the category off
    (RFC 2369). Each lets its holder choose for the recipient: they are kept out of reprs.
    """

    unsubscribe: str = field(default="", repr=False)
    preferences: str = field(default="", repr=False)
    confirm: str = field(default="", repr=False)
    unsubscribe_by_mail: str = field(default="", repr=False)

    @property
    def tokens(self) -> dict[str, str]:
        """The last parts of the links, by the names of the links."""
        links = {name: getattr(self, name) for name in self.__slots__}
        return {name: url[max(url.rfind("/"), url.rfind("=")) + 1 :] for name, url in links.items() if url}


NO_LINKS = MailLinks()
_CONFIRMING = MailLinks(confirm="https://waypost.invalid/c/confirm")


def shown_links(type: NotificationType) -> MailLinks:
    """What stands for the links where a mail is shown and not sent: a mail that asks for a confirmation is
    not complete without its link."""
    return _CONFIRMING if type.confirms else NO_LINKS
