"""The secrets of a run's notifications (a code, a link), made by their type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from waypost.ledger.database.outages import outages
from waypost.ledger.database.unreachable import OtherKey
from waypost.model.notification import Notification
from waypost.model.notification_type import MintContext, Minter, NotificationType
from waypost.policy.redaction.minted_texts import NoText, texts_of
from waypost.rendering.preparing import Preparing, PutOff, TookTooLong
from waypost.system.isolation import ItemFailed, is_fault, isolated, present_task
from waypost.system.outage import is_outage
from waypost.system.time_slices import Slices

Secrets = Mapping[UUID, Mapping[str, Any]]
Minted = Mapping[UUID, Mapping[str, Any] | Exception]
NO_KEY = "minting waits for a worker with the ledger's secret key"
_SLICE_SECONDS = 0.002


async def minted(
    context: MintContext, type: NotificationType, notifications: Sequence[Notification]
) -> Minted:
    """What the type mints for each notification, or why that failed: ItemFailed, or PutOff. All are minted in
    one call. If it fails, each half is tried, until the guilty notification is alone; if it takes too long,
    each notification is minted alone. A notification also fails if a value minted for it cannot be removed
    from replies (see texts_of). The minter gets notifications whose `channels` are set. All are put off if
    the ledger's key was changed since this process began. Raises the errors of an unreachable ledger."""
    if type.mint is None:
        return {}
    minting = _Minting(context, type.mint, Preparing("minting", type.preparation))
    asked = [replace(one, channels=[*type.kinds_of(one.channels)]) for one in notifications]
    try:
        return await minting.of(asked)
    except OtherKey as error:
        outages.tell(error)
        return {one.id: PutOff(NO_KEY) for one in notifications}


class _Minting:
    """Minting for one run."""

    def __init__(self, context: MintContext, mint: Minter, preparing: Preparing[Any]) -> None:
        self._context = context
        self._mint = mint
        self._preparing = preparing

    async def of(self, notifications: Sequence[Notification]) -> Minted:
        if len(notifications) <= 1 or self._preparing.one_by_one:
            return await self._singly(notifications)
        try:
            return await self._preparing.together(self._call(notifications))
        except TookTooLong:
            return await self._singly(notifications)
        except BaseException as error:
            if is_outage(error) or not is_fault(error, present_task()):
                raise
        half = len(notifications) // 2
        return {**await self.of(notifications[:half]), **await self.of(notifications[half:])}

    async def _singly(self, notifications: Sequence[Notification]) -> Minted:
        found = await self._preparing.each(notifications, lambda one: self._call([one]))
        made: dict[UUID, Mapping[str, Any] | Exception] = {}
        for id, answer in found.items():
            made |= {id: answer} if isinstance(answer, Exception) else answer
        return made

    async def _call(self, notifications: Sequence[Notification]) -> dict[UUID, Mapping[str, Any] | Exception]:
        made, slices = dict[UUID, Mapping[str, Any] | Exception](), Slices(_SLICE_SECONDS)
        for id, secrets in (await self._mint(self._context, notifications)).items():
            made[id] = _removable(id, secrets)
            await slices.pause()
        return made


def _removable(id: UUID, secrets: Mapping[str, Any]) -> Mapping[str, Any] | Exception:
    """`secrets`, or why they could not be removed from a provider's reply."""
    try:
        with isolated("minting", NoText, item=id):
            texts_of(secrets)
    except NoText as error:
        return ItemFailed(f"minting failed: {error}")
    except ItemFailed as failed:
        return failed
    return secrets
