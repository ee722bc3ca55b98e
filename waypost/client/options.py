"""Keyword arguments of the clients' methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict


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


class SuppressionQuery(TypedDict, total=False):
    """Filters of a list of suppressions. limit: suppressions of one page, 200 at most."""

    address: str
    category: str
    cause: str
    limit: int


class SuppressionFields(TypedDict, total=False):
    """Fields of a suppression. category: None for all. cause: manual by default. expires_at: with an offset;
    None for good."""

    category: str | None
    cause: str
    reason: str
    expires_at: datetime | None


class WhichSuppressions(TypedDict, total=False):
    """Only suppressions of a category, or with a cause."""

    category: str
    cause: str


class Fields(TypedDict, total=False):
    """Fields of a recipient. attributes: values of your own. A change of a recipient leaves those that it
    does not name, and None deletes one. addresses: further ones, such as
    `[{"address": "ada@home.example", "verified": True}]`; a change replaces the list."""

    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
    attributes: Mapping[str, Any] | None
    addresses: Sequence[Mapping[str, Any]] | None
