"""Lanes that are stopped in Prefect, for commands that otherwise read only the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from waypost.config.instance import connect
from waypost.config.settings import Settings
from waypost.model.states import State
from waypost.system.clock import now

ANSWERS_WITHIN = 3.0  # seconds; the command shows what the ledger says anyway


def waits_for_a_run(state: str, due_at: object, longer_than: timedelta = timedelta()) -> bool:
    """Whether a notification in `state` has been due for some time, and no run sends it."""
    waiting = state in (State.ACCEPTED, State.DEFERRED, State.CLAIMED)
    return waiting and isinstance(due_at, datetime) and due_at + longer_than <= now()


def stopped_lanes(settings: Settings) -> Mapping[str, str]:
    """By lane, why it is stopped and what starts it again. Empty if Prefect does not answer."""
    settings = connect(settings)
    from waypost.deployments import plain_api

    try:
        found = plain_api.stopped_lanes(settings.work_pool, ANSWERS_WITHIN)
    except plain_api.NeedsPrefect:
        return _told_by_prefect(settings)
    return {str(lane): why for lane, why in found.items()}


def _told_by_prefect(settings: Settings) -> Mapping[str, str]:
    """The same, over Prefect's own client and its settings."""
    import httpx
    from prefect.exceptions import PrefectException
    from prefect.settings import get_current_settings

    from waypost.deployments.paused_lanes import look
    from waypost.deployments.prefect_api import prefect_client
    from waypost.tasks.client_retries import client_retries

    async def ask() -> Mapping[str, str]:
        async with asyncio.timeout(ANSWERS_WITHIN), prefect_client() as client:
            return {str(lane): why for lane, why in (await look(client, settings.work_pool)).items()}

    if not get_current_settings().api.url:
        return {}
    with client_retries(0):
        try:
            return asyncio.run(ask())
        except (httpx.HTTPError, PrefectException, TimeoutError):
            return {}
