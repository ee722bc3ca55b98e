"""Reads the providers that Prefect keeps as blocks."""

from __future__ import annotations

from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from waypost.delivery.runtime import Runtime
from waypost.tasks.providers.provider_block import WaypostProvider, terms
from waypost.tasks.run_context import run_logger, without_prefect_active


class Unreadable(RuntimeError):
    """Prefect answers, but refuses to return its blocks."""

    def __init__(self, status: int) -> None:
        super().__init__(
            f"cannot read provider blocks from Prefect (HTTP {status}). Providers already loaded stay in "
            "use; others are ignored until it succeeds"
        )
        self.status = status


async def read(client: PrefectClient) -> dict[str, dict[str, Any]]:
    """The terms of each provider block, secrets included, by name, oldest first: a new block comes last.
    Raises Unreadable, and the client's errors when Prefect does not answer."""
    try:
        found = await client.read_block_documents_by_type(
            WaypostProvider.get_block_type_slug(), include_secrets=True
        )
    except ObjectNotFound:
        return {}  # nothing is deployed yet
    except httpx.HTTPStatusError as error:
        raise Unreadable(error.response.status_code) from None
    found.sort(key=lambda one: (one.created is None, one.created, one.name))
    return {one.name: terms(one.data) for one in found if one.name and not one.is_anonymous}


def told(name: str, fault: str) -> str:
    """What is wrong with a block, in a sentence."""
    return f"the Waypost provider block {name!r} is not used: {fault}"


async def current_runtime() -> Runtime:
    """This process's runtime, with every provider. A worker knows them already. A run in a process of its own
    reads them from Prefect first, and raises if Prefect does not answer: its notifications go out later."""
    runtime = await Runtime.current()
    if runtime.by_itself and not without_prefect_active():
        async with get_client() as client:
            try:
                faults = runtime.providers.add(await read(client))
            except Unreadable as error:
                run_logger().warning("%s", error)
            else:
                for name, fault in faults.items():
                    run_logger().warning("%s", told(name, fault))
        runtime.by_itself = False
    return runtime
