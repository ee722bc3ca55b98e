"""Collect: bundle what was held for a digest into one notification a recipient."""

from __future__ import annotations

from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from uuid_utils.compat import uuid7

from waypost import NotificationType
from waypost.ledger import digests
from waypost.runtime import Runtime


async def collect(digest: NotificationType, of: str, compose: digests.Compose) -> UUID:
    """Answers the batch that the digests are reserved under, for `lookup`.

    of: the type whose held notifications are bundled. compose: one recipient's items as the facts
    of a digest.
    """
    return await _collect.with_options(task_run_name=f"collect {of}")(_Window(digest, of, compose))


class _Window:
    """Opaque to Prefect, like a Batch."""

    def __init__(self, digest: NotificationType, of: str, compose: digests.Compose) -> None:
        self.digest = digest
        self.of = of
        self.compose = compose


@task(name="collect", cache_policy=NO_CACHE)
async def _collect(window: _Window) -> UUID:
    runtime = await Runtime.current()
    batch = uuid7()
    made = await digests.bundle(runtime.ledger, window.digest, window.of, window.compose, batch)
    get_run_logger().info("%d %s made of what was held of %s", made, window.digest.name, window.of)
    return batch
