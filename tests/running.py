"""A run's steps over what is due, taken without Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ledgers import NOTE

from tasks.deliver import deliver
from tasks.fallback import fallback
from tasks.render import render
from tasks.runs import without_prefect
from waypost import Batch
from waypost.channels import Channel
from waypost.ledger import Ledger, claims
from waypost.notification import Delivery
from waypost.priority import Priority
from waypost.provider import Provider
from waypost.runtime import Runtime
from waypost.settings import Settings

SETTINGS = Settings(templates=Path(__file__).parent / "templates", sender="s@a.example")


def runtime_of(ledger: Ledger, *channels: Channel, **providers: Provider) -> Runtime:
    """A process's runtime with these channels, and the terms of some of them."""
    return Runtime(SETTINGS.model_copy(update={"providers": providers}), ledger, list(channels))


async def run(runtime: Runtime, lane: Priority = Priority.NORMAL) -> Sequence[Delivery]:
    """Render, deliver and fall back, for every note of a lane that is due."""
    claim = await claims.reserve(runtime.ledger, NOTE.name, lane)
    assert claim is not None
    taken = await claims.take(runtime.ledger, NOTE.name, claim.id)
    runtime.adopt()
    with without_prefect():
        rendered = await render(Batch(NOTE, claim.id, taken.notifications))
        return list(await fallback(await deliver(rendered)))
