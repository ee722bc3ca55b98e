"""Sample orders: requests to send, and messages rendered from them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import orjson
from uuid_utils.compat import uuid7

from benchmarks.harness.processes import ROOT
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import open_ledger
from waypost.model.notification import Notification, Rendered, ResolvedRecipient
from waypost.rendering.messages import render_one
from waypost.system.clock import now

COUNT = 830
NORTHWIND = ROOT.parent / "shared" / "data" / "northwind-orders.jsonl"


def source(checkout: Path = ROOT) -> Path:
    """The 830 orders of the Northwind sample database, or else the few of a checkout's demo, repeated."""
    return NORTHWIND if NORTHWIND.exists() else checkout / "waypost" / "demo" / "orders.jsonl"


def requests(series: str) -> Iterator[dict[str, Any]]:
    """830 requests, all different from those of another `series`."""
    lines = source().read_bytes().splitlines()
    for number, line in enumerate(islice(cycle(lines), COUNT)):
        request = orjson.loads(line)
        request["idempotency_key"] = f"{series}-{number}"
        yield request


def to_somebody_new(address: str) -> dict[str, Any]:
    """A request for one order, to an address that identifies its mail."""
    request = next(requests(address))
    request["recipient"] = {**request["recipient"], "id": address, "email": address}
    return request


def one_per_language(series: str) -> list[dict[str, Any]]:
    """A request for each language of the orders, so that a run compiles every template."""
    languages = {request["recipient"]["locale"]: request for request in requests(series)}
    return list(languages.values())


def rendered(home: Path, count: int) -> list[Rendered]:
    """Notifications with their messages, rendered from the orders as a run renders them."""
    settings = Settings(home=home)
    runtime = Runtime(settings, open_ledger(settings.ledger_url), channels=[MemoryChannel()])
    renderer = runtime.renderer(TYPE)
    return [render_one(renderer, TYPE, _notification(request)) for request in islice(requests("-"), count)]


def _notification(request: dict[str, Any]) -> Notification:
    person = request["recipient"]
    moment = now()
    return Notification(
        id=uuid7(),
        type=TYPE.name,
        priority=TYPE.lane,
        recipient=ResolvedRecipient(
            key=person["id"],
            email=person["email"],
            phone=person.get("phone"),
            name=person["name"],
            locale=person["locale"],
            timezone=person["timezone"],
        ),
        data=request["data"],
        count=1,
        accepted_at=moment,
        expires_at=moment + TYPE.deadline,
    )
