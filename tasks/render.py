"""Render: every message a run may need, before the first is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from waypost import Batch
from waypost.mail.attachment import Attachment, AttachmentError
from waypost.model.brand import NoSuchBrand
from waypost.model.notification import Notification, Rendered
from waypost.model.notification_type import NotificationType
from waypost.rendering.attachments import attached_to_each
from waypost.rendering.messages import Renderer, render_one
from waypost.rendering.preparing import PutOff
from waypost.system import clock
from waypost.system.isolation import ItemFailed, isolated
from waypost.tasks.providers.blocks import current_runtime
from waypost.tasks.run_context import run_logger, step
from waypost.tasks.task_name import name_step
from waypost.verification.minting import minted

SLICE_SECONDS = 0.002  # of work without a pause, in each of ten runs: other runs' sends wait for it


async def render(notifications: Batch[Notification]) -> Batch[Rendered]:
    """Messages for every channel on the type's route that reaches the recipient. A notification that
    cannot be rendered carries the reason and does not affect the others."""
    return await step(render_batch, notifications)


@task(name="render", cache_policy=NO_CACHE)
async def render_batch(notifications: Batch[Notification]) -> Batch[Rendered]:
    runtime, type = await current_runtime(), notifications.type
    private = await minted(runtime, type, notifications.items)
    lacking = {id: why for id, why in private.items() if isinstance(why, Exception)}
    ready = [one for one in notifications if one.id not in lacking]
    renderers = cache(partial(runtime.renderer, type))
    files = {**await attached_to_each(type, ready, runtime.settings.attachment_megabytes), **lacking}
    rendered: list[Rendered] = []
    rest_at = clock.monotonic() + SLICE_SECONDS
    for notification in notifications:
        rendered.append(
            _one(
                renderers,
                type,
                notification,
                private.get(notification.id, {}),
                files.get(notification.id, ()),
            )
        )
        if clock.monotonic() >= rest_at:
            await asyncio.sleep(0)
            rest_at = clock.monotonic() + SLICE_SECONDS
    if fault := runtime.templates.faults.get(type.name):
        run_logger().warning("The changed templates of %s are not in use: %s", type.name, fault)
    made = sum(bool(one.messages) for one in rendered)
    name_step(f"render: {made}" if made == len(rendered) else f"render: {made} of {len(rendered)}")
    return notifications.following(rendered)


def _one(
    renderers: Callable[[str], Renderer],
    type: NotificationType,
    notification: Notification,
    private: Mapping[str, Any] | Exception,
    files: Sequence[Attachment] | Exception,
) -> Rendered:
    """The messages of one notification, by the renderer of its brand."""
    try:
        with isolated("rendering", AttachmentError, PutOff, NoSuchBrand, item=notification.id):
            if isinstance(private, Exception):
                raise private
            if isinstance(files, Exception):
                raise files
            return render_one(renderers(notification.brand), type, notification, private, files)
    except PutOff as error:
        return Rendered(notification, deferred_until=str(error))
    except (AttachmentError, NoSuchBrand, ItemFailed) as error:
        return Rendered(notification, error=str(error))
