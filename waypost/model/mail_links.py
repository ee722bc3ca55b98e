"""The links by which the recipient of a mail chooses what they receive."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MailLinks:
    """The links of one notification, as URLs; empty where there are none.

    unsubscribe: turns the notification's category off, also by the POST of RFC 8058. preferences: the page on
    which the recipient chooses. Both let their holder choose for the recipient: they are kept out of reprs.
    """

    unsubscribe: str = field(default="", repr=False)
    preferences: str = field(default="", repr=False)


NO_LINKS = MailLinks()
