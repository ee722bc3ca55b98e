"""Creates the automations of this folder on a Prefect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

FOLDER = Path(__file__).parent
SUBJECT = "{{ automation.name }}: {{ event.resource.name }}"
BODY = (
    "{{ event.event }}\n{% for name, value in event.payload.items() %}{{ name }}: {{ value }}\n{% endfor %}"
)


class NoSuchBlock(LookupError):
    """No block of that name is in Prefect."""


def automations(notify: UUID | None = None) -> list[AutomationCore]:
    """The automations of the files. notify: a notification block; without one they do nothing, and a person
    chooses the action in Prefect."""
    files = sorted(FOLDER.glob("*.json"))
    found = [_automation(orjson.loads(file.read_bytes())) for file in files]
    if notify is None:
        return found
    action = {"type": "send-notification", "block_document_id": str(notify), "subject": SUBJECT, "body": BODY}
    return [_automation({**one.model_dump(mode="json"), "actions": [action]}) for one in found]


def _automation(described: dict[str, Any]) -> AutomationCore:
    return AutomationCore.model_validate(described)


async def create(client: PrefectClient, notify: str | None = None) -> dict[str, UUID]:
    """Create the automations that the server does not have; those of the same names stay as they are. Returns
    the ids of the created by name. notify: a notification block, `slack-webhook/on-call`. Raises NoSuchBlock.
    """
    block = await _block(client, notify) if notify else None
    created: dict[str, UUID] = {}
    for one in automations(block):
        if not await client.read_automations_by_name(one.name):
            created[one.name] = await client.create_automation(one)
    return created


async def _block(client: PrefectClient, named: str) -> UUID:
    type, _, name = named.partition("/")
    try:
        found = await client.read_block_document_by_name(name, type, include_secrets=False)
    except ObjectNotFound:
        raise NoSuchBlock(
            f"the block {named} is not in Prefect. Create a notification block under Blocks, and give its "
            "type and name: slack-webhook/on-call"
        ) from None
    return found.id
