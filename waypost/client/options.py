"""Keyword arguments of the clients' methods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict


class Options(TypedDict, total=False):
    """Options of a notification, as in `Send`."""

    deliver_at: datetime | None
    expires_at: datetime | None
    priority: str | None
    channels: Sequence[str] | None
    tags: Sequence[str]
    brand: str | None
    digest: bool | None
    idempotency_key: str


class Query(TypedDict, total=False):
    """Filters of a list. state: any of these. recipient: an id or an address. since, until: accepted at or
    after, and before, each with an offset. limit: entries of one page, 200 at most."""

    state: Sequence[str]
    type: str
    recipient: str
    tag: str
    brand: str
    since: datetime
    until: datetime
    limit: int


class Fields(TypedDict, total=False):
    """Fields of a recipient."""

    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
