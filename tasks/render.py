"""Render: every message a run may need, before the first is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.blocks import current_runtime
from tasks.runs import step
from waypost import Batch, clock
from waypost.attaching import attached
from waypost.isolation import ItemFailed, isolated
from waypost.mail.attachment import AttachmentError
from waypost.message import render_one
from waypost.minting import minted
from waypost.notification import Notification, Rendered
from waypost.notification_type import NotificationType
from waypost.runtime import Runtime

SLICE_SECONDS = 0.002  # of work at a stretch, in each of ten runs: what others send waits behind it


async def render(notifications: Batch[Notification]) -> Batch[Rendered]:
    """Messages for every channel on the type's route that reaches the recipient. What cannot be
    rendered carries its reason and harms nothing else."""
    return await step(_render, notifications)


@task(name="render", cache_policy=NO_CACHE)
async def _render(notifications: Batch[Notification]) -> Batch[Rendered]:
    runtime, type = await current_runtime(), notifications.type
    private = await minted(runtime, type, notifications.items)
    rendered: list[Rendered] = []
    rest_at = clock.steady() + SLICE_SECONDS
    for notification in notifications:
        rendered.append(await _one(runtime, type, notification, private.get(notification.id, {})))
        if clock.steady() >= rest_at:
            await asyncio.sleep(0)
            rest_at = clock.steady() + SLICE_SECONDS
    return Batch(notifications.type, notifications.id, rendered)


async def _one(
    runtime: Runtime,
    type: NotificationType,
    notification: Notification,
    private: Mapping[str, Any] | ItemFailed,
) -> Rendered:
    try:
        with isolated("rendering", AttachmentError, item=notification.id):
            if isinstance(private, ItemFailed):
                raise private
            files = await attached(type, notification, runtime.settings.attachment_megabytes)
            return render_one(runtime, type, notification, private, files)
    except (AttachmentError, ItemFailed) as error:
        return Rendered(notification, error=str(error))
