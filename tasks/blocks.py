"""Reads the providers and the brands that Prefect keeps as blocks."""

from __future__ import annotations

from typing import Any

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from waypost.delivery.added_brands import AddedBrands
from waypost.delivery.provider_set import ProviderSet
from waypost.delivery.runtime import Runtime
from waypost.ledger import Ledger
from waypost.ledger.records import kept_brands
from waypost.tasks.brands.brand_block import WaypostBrand
from waypost.tasks.brands.brand_block import terms as brand_terms
from waypost.tasks.providers.provider_block import WaypostProvider, terms
from waypost.tasks.run_context import run_logger, without_prefect_active

PROVIDER, BRAND = "provider", "brand"


class Unreadable(RuntimeError):
    """Prefect answers, but refuses to return its blocks."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(
            f"cannot read {what} blocks from Prefect (HTTP {status}). {what.capitalize()}s already loaded "
            "stay in use; others are ignored until it succeeds"
        )
        self.status = status


async def read(client: PrefectClient) -> dict[str, dict[str, Any]]:
    """The terms of each provider block, secrets included, by name, oldest first: a new block comes last.
    Raises Unreadable, and the client's errors when Prefect does not answer."""
    found = await _documents(client, WaypostProvider, PROVIDER) or {}
    return {name: terms(form) for name, form in found.items()}


async def read_brands(client: PrefectClient) -> dict[str, dict[str, Any]] | None:
    """The terms of each brand block by name, oldest first; None if Prefect does not know the type of block,
    as a new Prefect server does until the next deployment. Raises as `read` does."""
    found = await _documents(client, WaypostBrand, BRAND)
    return None if found is None else {name: brand_terms(form) for name, form in found.items()}


async def _documents(client: PrefectClient, type: type[Block], what: str) -> dict[str, dict[str, Any]] | None:
    """The saved forms of a type of block by name, oldest first; None if the type is not registered."""
    try:
        found = await client.read_block_documents_by_type(type.get_block_type_slug(), include_secrets=True)
    except ObjectNotFound:
        return None  # nothing is deployed yet
    except httpx.HTTPStatusError as error:
        raise Unreadable(what, error.response.status_code) from None
    found.sort(key=lambda one: (one.created is None, one.created, one.name))
    return {one.name: one.data for one in found if one.name and not one.is_anonymous}


def told(name: str, fault: str, what: str = PROVIDER) -> str:
    """What is wrong with a block, in a sentence."""
    return f"the Waypost {what} block {name!r} is not used: {fault}"


async def load(
    client: PrefectClient, providers: ProviderSet, brands: AddedBrands, ledger: Ledger
) -> list[str]:
    """Use the providers and brands as Prefect keeps them now. Returns the faults, a sentence each. Raises the
    client's errors when Prefect does not answer, and the ledger's."""
    try:
        of_providers = providers.add(await read(client))
        of_brands = await _load_brands(client, brands, ledger)
    except Unreadable as error:
        return [str(error)]
    return [
        *(told(name, fault) for name, fault in of_providers.items()),
        *(told(name, fault, BRAND) for name, fault in of_brands.items()),
    ]


async def _load_brands(client: PrefectClient, brands: AddedBrands, ledger: Ledger) -> dict[str, str]:
    """Keeps the brands in the ledger too, for the processes without Prefect. Returns the faults by name."""
    named = await read_brands(client)
    if named is None:
        return {}
    before = brands.terms
    faults = brands.replace_with(named)
    if brands.terms != before:
        await kept_brands.write(ledger, brands.terms)
    return faults


async def current_runtime() -> Runtime:
    """This process's runtime, with every provider. A worker knows them already. A run in a process of its own
    reads them from Prefect first, and raises if Prefect does not answer: its notifications go out later."""
    runtime = await Runtime.current()
    if runtime.by_itself and not without_prefect_active():
        async with get_client() as client:
            for fault in await load(client, runtime.providers, runtime.added_brands, runtime.ledger):
                run_logger().warning("%s", fault)
        runtime.by_itself = False
    return runtime
