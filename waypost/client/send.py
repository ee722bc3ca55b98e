"""A notification to send, as JSON, and the batches of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel
from pydantic_core import to_json

T = TypeVar("T")

ITEMS = 1000  # in a batch
BYTES = 4_000_000  # in its body: a little less than the gateway takes


def _new_key() -> str:
    return uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """recipient: an id the ledger knows, or its fields. data: the facts of the type. deliver_at, expires_at:
    with an offset. brand: whose mail it is. digest: only if the type offers it. idempotency_key: generated
    if you give none; a second `Send` with the same key and body sends nothing."""

    type: str
    recipient: str | Mapping[str, Any] | BaseModel = field(repr=False)
    data: Mapping[str, Any] | BaseModel = field(repr=False)
    deliver_at: datetime | None = None
    expires_at: datetime | None = None
    priority: str | None = None
    channels: Sequence[str] | None = None
    tags: Sequence[str] = ()
    brand: str | None = None
    digest: bool | None = None
    idempotency_key: str = field(default_factory=_new_key, repr=False)

    def as_json(self) -> bytes:
        """The body of a request. Raises ValueError for what JSON cannot hold."""
        to = {"id": self.recipient} if isinstance(self.recipient, str) else self.recipient
        told = {name: getattr(self, name) for name in _PLAIN}
        given = {name: value for name, value in told.items() if value is not None}
        return to_json({**given, "recipient": to})


_PLAIN = (
    "type", "data", "deliver_at", "expires_at", "priority", "channels", "tags", "brand", "digest",
    "idempotency_key",
)  # fmt: skip


def batches(items: Iterable[bytes | T]) -> Iterator[list[bytes | T]]:
    """`items` in order, in batches of as many as the gateway takes. Only bytes count towards the size."""
    now: list[bytes | T] = []
    size = 0
    for item in items:
        more = len(item) + 1 if isinstance(item, bytes) else 0
        if now and (len(now) == ITEMS or size + more > BYTES):
            yield now
            now, size = [], 0
        now.append(item)
        size += more
    if now:
        yield now
