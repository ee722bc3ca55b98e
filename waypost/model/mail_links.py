"""The links by which the recipient of a mail chooses what they receive."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from waypost.model.category import Category
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
    def by_name(self) -> Mapping[str, str]:
        """All of them, also the empty."""
        if self is NO_LINKS:
            return _NONE_BY_NAME
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def tokens(self) -> dict[str, str]:
        """The last parts of the links, by the names of the links."""
        return {
            name: url[max(url.rfind("/"), url.rfind("=")) + 1 :] for name, url in self.by_name.items() if url
        }


NO_LINKS = MailLinks()
_NONE_BY_NAME: Mapping[str, str] = dict.fromkeys(MailLinks.__slots__, "")
_SHOWN = MailLinks("https://waypost.invalid/u/unsubscribe", "https://waypost.invalid/p/preferences")
_CONFIRM = "https://waypost.invalid/c/confirm"


def shown_links(type: NotificationType, optional: Collection[Category] = ()) -> MailLinks:
    """What stands for the links where a mail is shown and not sent. optional: the categories that recipients
    may turn off, whose mails have a footer that says how. A mail that asks for a confirmation is not complete
    without its link."""
    shown = _SHOWN if type.category in optional else NO_LINKS
    return replace(shown, confirm=_CONFIRM) if type.confirms else shown
