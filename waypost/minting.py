"""The secrets of a run's notifications (a code, a link), made by their type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from waypost.isolation import ItemFailed, isolated
from waypost.ledger.engine import is_outage
from waypost.notification import Notification
from waypost.notification_type import Minter, NotificationType
from waypost.runtime import Runtime

Minted = Mapping[UUID, Mapping[str, Any] | ItemFailed]


async def minted(runtime: Runtime, type: NotificationType, notifications: Sequence[Notification]) -> Minted:
    """What the type mints for each notification, or why that failed. All are minted at once; where one makes
    that fail, halves are, until it is alone. The minter is given notifications whose `channels` are set.
    Raises what says that the ledger is away."""
    if type.mint is None:
        return {}
    return await _minted(
        runtime, type.mint, [replace(one, channels=[*type.kinds_of(one.channels)]) for one in notifications]
    )


async def _minted(runtime: Runtime, mint: Minter, notifications: Sequence[Notification]) -> Minted:
    if len(notifications) <= 1:
        return await _alone(runtime, mint, notifications[0]) if notifications else {}
    try:
        return dict(await mint(runtime, notifications))
    except Exception as error:
        if is_outage(error):
            raise
    half = len(notifications) // 2
    return {
        **await _minted(runtime, mint, notifications[:half]),
        **await _minted(runtime, mint, notifications[half:]),
    }


async def _alone(runtime: Runtime, mint: Minter, notification: Notification) -> Minted:
    try:
        with isolated("minting", item=notification.id, outage=is_outage):
            return dict(await mint(runtime, [notification]))
    except ItemFailed as failed:
        return {notification.id: failed}
