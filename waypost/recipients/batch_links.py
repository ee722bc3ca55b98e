"""The links of the mails of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from waypost.config.settings import Settings
from waypost.model.category import Category, may_be_confirmed, may_be_turned_off
from waypost.model.mail_links import NO_LINKS, MailLinks
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
    """The links of each notification, by its id, or why it has none; nothing without WAYPOST_PUBLIC_URL and
    WAYPOST_UNSUBSCRIBE_ADDRESS. A category that recipients cannot turn off has no links to choose, and one
    that they cannot confirm has no link to confirm."""
    settings = installation.settings
    url, by_mail = settings.public_url, settings.unsubscribe_address
    optional = type.category in may_be_turned_off(settings.categories)
    if not (optional and (url or by_mail)) and not (type.confirms and url):
        return {}
    links, slices = Links(installation.secret_key), Slices(_SLICE_SECONDS)
    made: dict[UUID, MailLinks | ItemFailed] = {}
    for one in notifications:
        try:
            with isolated("making links", item=one.id):
                found = links.of(one, type.category, url, by_mail) if optional else NO_LINKS
                if url and (asked := _to_confirm(type, one, settings)):
                    found = replace(found, confirm=links.confirming(url, one, asked))
                made[one.id] = found
        except ItemFailed as failed:
            made[one.id] = failed
        await slices.pause()
    return made


def _to_confirm(type: NotificationType, notification: Notification, settings: Settings) -> Category | None:
    """The category that a notification asks its recipient to confirm, if recipients may confirm it."""
    named = notification.data.get(type.confirms)
    return next((one for one in may_be_confirmed(settings.categories) if one == named), None)
