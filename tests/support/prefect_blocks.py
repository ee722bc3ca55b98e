"""Blocks in Prefect, as a person keeps them in its UI."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import BlockDocumentCreate, BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument

from waypost.delivery.runtime import Runtime
from waypost.deployments.resident_worker.prefect_blocks import PrefectBlocks


class Blocks:
    """What the Prefect UI does: a form is sent as it was filled in."""

    def __init__(self, client: PrefectClient, slug: str) -> None:
        self.client, self.slug = client, slug

    async def create(self, name: str, **form: Any) -> BlockDocument:
        type = await self.client.read_block_type_by_slug(self.slug)
        schema = await self.client.get_most_recent_block_schema_for_block_type(type.id)
        assert schema is not None
        return await self.client.create_block_document(
            BlockDocumentCreate(name=name, data=form, block_schema_id=schema.id, block_type_id=type.id)
        )

    async def edit(self, document: BlockDocument, **form: Any) -> None:
        await self.client.update_block_document(document.id, BlockDocumentUpdate(data=form))


def loader_of(runtime: Runtime) -> PrefectBlocks:
    """What a worker with this runtime loads the blocks with."""
    return PrefectBlocks(runtime.providers, runtime.added_brands, runtime.ledger)


@asynccontextmanager
async def blocks_of(client: PrefectClient, kind: type[Block], slug: str) -> AsyncGenerator[Blocks]:
    """A server with the block type, and none of its blocks afterwards."""
    await kind.aregister_type_and_schema(client=client)
    yield Blocks(client, slug)
    for one in await client.read_block_documents_by_type(slug):
        await client.delete_block_document(one.id)
