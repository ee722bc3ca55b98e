"""The worker's side of the process that renders."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic

from waypost.config.settings import Settings
from waypost.delivery.batch_rendering import BatchRendering, RenderJob
from waypost.delivery.runtime import Runtime
from waypost.deployments.render_process.frames import Ask, Look, Start, packed
from waypost.deployments.render_process.link import Link, ProcessEnded
from waypost.model.notification import Rendered
from waypost.model.notification_type import NotificationType
from waypost.rendering.messages import Renderer

STARTS_AT = 400  # notifications in a batch: the start takes as long as a thousand mails
LEAST = 100  # notifications: fewer are rendered here, as they would only wait behind a flood
CHUNK = 50  # notifications asked for at once
REST_SECONDS = 60.0  # before it is tried again, where the process did not start or cannot render a type

logger = logging.getLogger("waypost.render_process")


@asynccontextmanager
async def rendering_in_another_process(runtime: Runtime, since: datetime) -> AsyncGenerator[None]:
    """Let the runtime render large batches in a second process for the length of the block, where there is a
    second processor. since: when this process read the files of the types."""
    if not (runtime.settings.render_process and has_second_processor()):
        yield
        return
    here = runtime.rendering
    process = RenderProcess(runtime.settings, here, runtime.renderer, runtime.templates.faults, since)
    runtime.rendering = process
    try:
        yield
    finally:
        runtime.rendering = here
        await process.close()


def has_second_processor() -> bool:
    """Whether this process may use more than one processor."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


class RenderProcess:
    """Renders large batches in a second process, which the first of them starts. Small batches are rendered
    here, and all others while that process starts or cannot be started.

    A process that ends or hangs is replaced. What it was at work on is then rendered one by one in the next,
    and a notification that ends that process too is put off. Nothing is sent before it is rendered, so that
    nothing is sent twice.
    """

    def __init__(
        self,
        settings: Settings,
        here: BatchRendering,
        renderers: Callable[[NotificationType, str], Renderer],
        faults: MutableMapping[str, str],
        since: datetime,
    ) -> None:
        """here: renders in this process. renderers: see RenderingHere. faults: of changed templates, by type;
        kept up to date. since: when this process read the files of the types."""
        self._settings = settings
        self._here = here
        self._renderers = renderers
        self._faults = faults
        self._since = since
        self._link: Link | None = None
        self._starting: asyncio.Task[Link | None] | None = None
        self._not_before = 0.0
        self._not_there: dict[str, float] = {}  # until when a type that the process cannot render stays here

    async def render(self, type: NotificationType, jobs: Sequence[RenderJob]) -> list[Rendered]:
        """See BatchRendering."""
        waits_for = self._not_there.get(type.name, 0.0) - monotonic()
        if len(jobs) < LEAST or waits_for > 0 or self._present(type, start=len(jobs) >= STARTS_AT) is None:
            return await self._here.render(type, jobs)
        chunks = [self._chunk(type, jobs[at : at + CHUNK]) for at in range(0, len(jobs), CHUNK)]
        return [one for made in await asyncio.gather(*chunks) for one in made]

    @property
    def pid(self) -> int | None:
        """The id of the process that takes work; None while none does."""
        return self._link.pid if self._link is not None and self._link.takes_work else None

    async def close(self) -> None:
        """End the process."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._link is not None:
            await self._link.close()

    def _present(self, type: NotificationType, *, start: bool = True) -> Link | None:
        """The process that takes work now. start: whether one begins to start if there is none."""
        if self._link is not None and self._link.takes_work:
            return self._link
        if start and self._starting is None and monotonic() >= self._not_before:
            self._starting = asyncio.create_task(self._start_one(type))
        return None

    async def _start_one(self, type: NotificationType) -> Link | None:
        self._link = None
        try:
            self._link = await Link.start(Start(self._settings, self._since, type.name))
        except (OSError, TimeoutError, EOFError) as error:
            logger.warning("the process that renders did not start (%s); rendering in the worker", error)
        if self._link is None:
            self._not_before = monotonic() + REST_SECONDS
        else:
            logger.info("large batches are rendered in process %d", self._link.pid)
        self._starting = None
        return self._link

    async def _next(self, type: NotificationType) -> Link | None:
        """The process that takes work, once it has started; None if it cannot be started."""
        return self._present(type) or (await self._starting if self._starting else None)

    async def _chunk(self, type: NotificationType, jobs: Sequence[RenderJob]) -> list[Rendered]:
        try:
            return await self._ask(self._present(type), type, jobs)
        except ProcessEnded as ended:
            if not ended.first:
                return await self._here.render(type, jobs)
        return [made for job in jobs for made in await self._alone(type, job)]

    async def _alone(self, type: NotificationType, job: RenderJob) -> list[Rendered]:
        """One of those during which a process ended. In the next process, as it could end the worker."""
        try:
            return await self._ask(await self._next(type), type, [job])
        except ProcessEnded as ended:
            if not ended.first:
                return await self._alone(type, job)
        logger.error("rendering %s ended the process that renders", job.notification.id)
        return [Rendered(job.notification, deferred_until="rendering it ended its process (see the log)")]

    async def _ask(
        self, link: Link | None, type: NotificationType, jobs: Sequence[RenderJob]
    ) -> list[Rendered]:
        """Raises ProcessEnded."""
        if link is None or any(job.files for job in jobs):  # files are large
            return await self._here.render(type, jobs)
        try:
            looks = {brand: self._look(type, brand) for brand in {job.notification.brand for job in jobs}}
            frame = packed(Ask(type.name, looks, jobs))
        except Exception:  # NoSuchBrand, or a type has minted values that cannot be pickled
            return await self._here.render(type, jobs)
        reply = await link.ask(frame)
        if reply.made is None:
            self._not_there[type.name] = monotonic() + REST_SECONDS
            return await self._here.render(type, jobs)
        self._note(type, reply.fault)
        return [made.rendered(job.notification) for made, job in zip(reply.made, jobs, strict=True)]

    def _look(self, type: NotificationType, brand: str) -> Look:
        """Raises NoSuchBrand."""
        made = self._renderers(type, brand)
        return Look(made.brand, frozenset(made.served))

    def _note(self, type: NotificationType, fault: str | None) -> None:
        if fault:
            self._faults[type.name] = fault
        else:
            self._faults.pop(type.name, None)
