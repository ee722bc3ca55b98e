"""The links of the mails of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from waypost.config.settings import Settings
from waypost.model.category import may_be_turned_off
from waypost.model.mail_links import MailLinks
from waypost.model.notification import Notification
from waypost.model.notification_type import NotificationType
from waypost.recipients.links import Links
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.time_slices import Slices

_SLICE_SECONDS = 0.002


class Installation(Protocol):
    """What links are made with: the settings and the secret key."""

    @property
    def settings(self) -> Settings: ...

    @property
    def secret_key(self) -> bytes: ...


async def links_of_each(
    installation: Installation, type: NotificationType, notifications: Sequence[Notification]
) -> Mapping[UUID, MailLinks | ItemFailed]:
    """The links of each notification, by its id, or why it has none; nothing without WAYPOST_PUBLIC_URL, and
    nothing of a category that recipients cannot turn off."""
    settings = installation.settings
    if settings.public_url is None or type.category not in may_be_turned_off(settings.categories):
        return {}
    links, slices = Links(installation.secret_key), Slices(_SLICE_SECONDS)
    made: dict[UUID, MailLinks | ItemFailed] = {}
    for one in notifications:
        try:
            with isolated("making links", item=one.id):
                made[one.id] = links.of(settings.public_url, one, type.category)
        except ItemFailed as failed:
            made[one.id] = failed
        await slices.pause()
    return made
