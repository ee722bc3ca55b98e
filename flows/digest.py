"""Digest: the waiting alerts, one mail per recipient, on a schedule."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from prefect import State, flow
from pydantic import AwareDatetime, Field

from waypost import Category, Facts, HeldItem, Link, ListAddress, NotificationType, Priority, Report
from waypost.config.settings import Settings
from waypost.flows.alert import GRAVEST_FIRST, Severity, Status
from waypost.flows.alert import TYPE as ALERT
from waypost.tasks import collect, deliver, fallback, lookup, render, report

ITEMS_SHOWN = 100


class DigestItem(Facts):
    severity: Severity
    source: str
    summary: str
    status: Status
    started_at: AwareDatetime
    url: Link | None = None
    count: int


class Digest(Facts):
    """Waypost composes these facts from the waiting alerts. `items` are the hundred most severe."""

    since: AwareDatetime
    until: AwareDatetime
    total: int
    critical: int
    warning: int
    info: int
    items: Annotated[list[DigestItem], Field(max_length=ITEMS_SHOWN)]
    unsubscribe_url: ListAddress | None = None


TYPE = NotificationType(
    name="digest",
    facts=Digest,
    category=Category.ALERT,
    priority=Priority.BULK,
    digest=True,
    route=("email",),
    deadline=timedelta(hours=24),
    cron=lambda: Settings().digest_cron,
    list_unsubscribe="{{ unsubscribe_url or '' }} {{ sender.support | mailto ~ '?subject=unsubscribe' "
    "if sender.support else '' }}",
)


def compose(held: Sequence[HeldItem], until: datetime) -> dict[str, Any]:
    """The facts of a digest, as JSON, from one recipient's alerts, oldest first. In the digest the gravest
    come first, and within a severity the newest, so that a long digest leaves out the oldest and mildest."""
    severities = Counter(item.data["severity"] for item in held)
    newest_first = [*reversed(held)]
    gravest_first = sorted(newest_first, key=lambda item: GRAVEST_FIRST.index(item.data["severity"]))
    said = (item.data.get("unsubscribe_url") for item in newest_first)
    return {
        "since": held[0].accepted_at.isoformat(),
        "until": until.isoformat(),
        "total": len(held),
        **{severity: severities[severity] for severity in GRAVEST_FIRST},
        "items": [_item(item) for item in gravest_first[:ITEMS_SHOWN]],
        "unsubscribe_url": next(filter(None, said), None),
    }


def _item(item: HeldItem) -> dict[str, Any]:
    kept = {name: item.data[name] for name in DigestItem.model_fields if name in item.data}
    return {**kept, "count": item.count}


@flow(name=TYPE.name)
async def digest(batch: UUID | None = None) -> State[Report]:
    """Send each recipient of waiting alerts one digest. Without alerts, no mail is sent."""
    batch = batch or await collect(TYPE, of=ALERT.name, compose=compose)
    notifications = await lookup(TYPE, batch=batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
