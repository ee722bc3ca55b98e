"""Renders the notifications of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol

from waypost.mail.attachment import Attachment
from waypost.model.brand import NoSuchBrand
from waypost.model.mail_links import NO_LINKS, MailLinks
from waypost.model.notification import Notification, Rendered
from waypost.model.notification_type import NotificationType
from waypost.rendering.messages import Renderer, render_one
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.time_slices import Slices

SLICE_SECONDS = 0.002  # of work without a pause, in each of ten runs: other runs' sends wait for it


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A notification to render, with the template values, files and links that only its run knows."""

    notification: Notification
    private: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    files: Sequence[Attachment] = ()
    links: MailLinks = NO_LINKS


class BatchRendering(Protocol):
    """Renders many notifications of one type."""

    async def render(self, type: NotificationType, jobs: Sequence[RenderJob]) -> list[Rendered]:
        """The messages of each job, in their order. A notification that cannot be rendered carries the
        reason and does not affect the others."""
        ...


@dataclass(frozen=True, slots=True)
class RenderingHere:
    """Renders on the event loop, a little at a time. renderers: by type and brand; raises NoSuchBrand."""

    renderers: Callable[[NotificationType, str], Renderer]

    async def render(self, type: NotificationType, jobs: Sequence[RenderJob]) -> list[Rendered]:
        """See BatchRendering."""
        renderers, slices = cache(partial(self.renderers, type)), Slices(SLICE_SECONDS)
        rendered: list[Rendered] = []
        for job in jobs:
            rendered.append(render_job(renderers, type, job))
            await slices.pause()
        return rendered


def render_job(renderers: Callable[[str], Renderer], type: NotificationType, job: RenderJob) -> Rendered:
    """The messages of one notification, by the renderer of its brand. A brand that is missing may be new, or
    be added again: until its deadline, the notification waits for a worker that knows it."""
    notification = job.notification
    try:
        with isolated("rendering", NoSuchBrand, item=notification.id):
            by = renderers(notification.brand)
            return render_one(by, type, notification, job.private, job.files, job.links)
    except NoSuchBrand as error:
        return Rendered(notification, deferred_until=str(error))
    except ItemFailed as error:
        return Rendered(notification, error=str(error))
