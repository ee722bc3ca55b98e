"""The secrets of a run's notifications (a code, a link), made by their type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    that fail, halves are, until it is alone. Raises what says that the ledger is away."""
    if type.mint is None or not notifications:
        return {}
    if len(notifications) == 1:
        return await _alone(runtime, type.mint, notifications[0])
    try:
        return dict(await type.mint(runtime, notifications))
    except Exception as error:
        if is_outage(error):
            raise
    half = len(notifications) // 2
    return {
        **await minted(runtime, type, notifications[:half]),
        **await minted(runtime, type, notifications[half:]),
    }


async def _alone(runtime: Runtime, mint: Minter, notification: Notification) -> Minted:
    try:
        with isolated("minting", item=notification.id, outage=is_outage):
            return dict(await mint(runtime, [notification]))
    except ItemFailed as failed:
        return {notification.id: failed}
