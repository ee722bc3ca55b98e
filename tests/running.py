"""A run's steps over what is due, taken without Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledgers import NOTE, taken

from tasks.deliver import deliver
from tasks.fallback import fallback
from tasks.render import render
from tasks.runs import without_prefect
from waypost import Batch
from waypost.channels import Channel
from waypost.ledger import Ledger
from waypost.notification import Delivery
from waypost.notification_type import NotificationType
from waypost.provider import Provider
from waypost.runtime import Runtime
from waypost.settings import Settings

SETTINGS = Settings(templates=Path(__file__).parent / "templates", sender="s@a.example")


def runtime_of(ledger: Ledger, *channels: Channel, **providers: Provider) -> Runtime:
    """A process's runtime with these channels, and the terms of some of them."""
    return Runtime(SETTINGS.model_copy(update={"providers": providers}), ledger, list(channels))


async def run(runtime: Runtime, type: NotificationType = NOTE) -> Sequence[Delivery]:
    """Render, deliver and fall back, for every note that is due."""
    batch, notes = await taken(runtime.ledger)
    runtime.adopt()
    with without_prefect():
        rendered: Any = await render(Batch(type, batch, notes))
        return list(await fallback(await deliver(rendered)))
