"""Digest: the alerts that could wait, one mail a recipient, when the schedule fires."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from pydantic import AwareDatetime, Field

from flows.alert import GRAVEST_FIRST, Severity, Status
from flows.alert import TYPE as ALERT
from tasks import collect, deliver, fallback, lookup, render, report
from waypost import Category, Facts, HeldItem, NotificationType, Report
from waypost.config.settings import Settings

ITEMS_SHOWN = 100


class DigestItem(Facts):
    severity: Severity
    source: str
    summary: str
    status: Status
    started_at: AwareDatetime
    count: int


class Digest(Facts):
    """Waypost composes these facts itself, from what waited. `items` are the hundred gravest."""

    since: AwareDatetime
    until: AwareDatetime
    total: int
    critical: int
    warning: int
    info: int
    items: Annotated[list[DigestItem], Field(max_length=ITEMS_SHOWN)]


TYPE = NotificationType(
    name="digest",
    facts=Digest,
    category=Category.DIGEST,
    route=("email",),
    deadline=timedelta(hours=24),
    cron=lambda: Settings().digest_cron,
)


def compose(held: Sequence[HeldItem], until: datetime) -> dict[str, Any]:
    """The facts of a digest, as JSON, from one recipient's alerts, oldest first. In the digest the gravest
    come first, and within a severity the oldest."""
    severities = Counter(item.data["severity"] for item in held)
    gravest_first = sorted(held, key=lambda item: GRAVEST_FIRST.index(item.data["severity"]))
    return {
        "since": held[0].accepted_at.isoformat(),
        "until": until.isoformat(),
        "total": len(held),
        **{severity: severities[severity] for severity in GRAVEST_FIRST},
        "items": [_item(item) for item in gravest_first[:ITEMS_SHOWN]],
    }


def _item(item: HeldItem) -> dict[str, Any]:
    kept = {name: item.data[name] for name in DigestItem.model_fields if name in item.data}
    return {**kept, "count": item.count}


@flow(name=TYPE.name)
async def digest(batch: UUID | None = None) -> Report:
    """Bundle what waited and send it. No items, no mail."""
    batch = batch or await collect(TYPE, of=ALERT.name, compose=compose)
    notifications = await lookup(TYPE, batch=batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
