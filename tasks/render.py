"""Render: every message a run may need, before the first is sent."""

from __future__ import annotations

from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from waypost import Batch
from waypost.delivery.batch_rendering import RenderJob
from waypost.mail.attachment import AttachmentError
from waypost.model.mail_links import NO_LINKS
from waypost.model.notification import Notification, Rendered
from waypost.recipients.batch_links import links_of_each
from waypost.rendering.attachments import attached_to_each
from waypost.rendering.preparing import PutOff
from waypost.system.isolation import ItemFailed, isolated
from waypost.tasks.blocks import current_runtime
from waypost.tasks.run_context import run_logger, step
from waypost.tasks.task_name import name_step
from waypost.verification.minting import minted


async def render(notifications: Batch[Notification]) -> Batch[Rendered]:
    """Messages for every channel on the type's route that reaches the recipient. A notification that
    cannot be rendered carries the reason and does not affect the others."""
    return await step(render_batch, notifications)


@task(name="render", cache_policy=NO_CACHE)
async def render_batch(notifications: Batch[Notification]) -> Batch[Rendered]:
    runtime, type = await current_runtime(), notifications.type
    private = await minted(runtime, type, notifications.items)
    ready = [one for one in notifications if not isinstance(private.get(one.id), Exception)]
    files = await attached_to_each(type, ready, runtime.settings.attachment_megabytes)
    links = await links_of_each(runtime, type, ready)
    jobs: list[RenderJob] = []
    made: dict[UUID, Rendered] = {}
    for one in notifications:
        values, attached = private.get(one.id, {}), files.get(one.id, ())
        its_links = links.get(one.id, NO_LINKS)
        if isinstance(values, Exception):
            made[one.id] = _unready(one, values)
        elif isinstance(attached, Exception):
            made[one.id] = _unready(one, attached)
        elif isinstance(its_links, Exception):
            made[one.id] = _unready(one, its_links)
        else:
            jobs.append(RenderJob(one, values, attached, its_links))
    made |= {one.notification.id: one for one in await runtime.rendering.render(type, jobs)}
    if fault := runtime.templates.faults.get(type.name):
        run_logger().warning("The changed templates of %s are not in use: %s", type.name, fault)
    sendable = sum(bool(one.messages) for one in made.values())
    name_step(f"render: {sendable}" if sendable == len(made) else f"render: {sendable} of {len(made)}")
    return notifications.following([made[one.id] for one in notifications])


def _unready(notification: Notification, why: Exception) -> Rendered:
    """A notification whose secret values or files could not be made."""
    try:
        with isolated("rendering", AttachmentError, PutOff, item=notification.id):
            raise why
    except PutOff as error:
        return Rendered(notification, deferred_until=str(error))
    except (AttachmentError, ItemFailed) as error:
        return Rendered(notification, error=str(error))
