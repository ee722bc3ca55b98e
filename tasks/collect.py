"""Collect: bundle the notifications held for a digest into one notification a recipient."""

from __future__ import annotations

from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from waypost import NotificationType
from waypost.delivery.runtime import Runtime
from waypost.ledger.queue import digests
from waypost.system.ids import new_id
from waypost.tasks.lookup import earlier_try
from waypost.tasks.run_context import current_flow_run, run_logger, step


async def collect(digest: NotificationType, of: str, compose: digests.Compose) -> UUID:
    """Returns the batch that the digests are claimed under, for `lookup`.

    of: the type whose held notifications are bundled. compose: turns one recipient's items into the
    facts of a digest.
    """
    return await step(_collect, _Window(digest, of, compose), task_run_name=f"collect {of}")


class _Window:
    """Opaque to Prefect, like a Batch."""

    def __init__(self, digest: NotificationType, of: str, compose: digests.Compose) -> None:
        self.digest = digest
        self.of = of
        self.compose = compose


@task(name="collect", cache_policy=NO_CACHE)
async def _collect(window: _Window) -> UUID:
    runtime = await Runtime.current()
    if await earlier_try(None):
        return new_id()  # a retry sends digests that failed, and makes none
    batch, made = await digests.bundle(
        runtime.ledger, window.digest, window.of, window.compose, current_flow_run()
    )
    run_logger().info("%d %s created from held %s", made, window.digest.name, window.of)
    return batch
