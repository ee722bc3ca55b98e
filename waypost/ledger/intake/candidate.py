"""A request being accepted: the subject of intake, idempotency keys and groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from waypost.mail.address import url_of
from waypost.model.brand import DEFAULT
from waypost.model.notification_type import NOTHING_SAID, Condition, NotificationType
from waypost.model.receipt import Receipt
from waypost.model.request import AnyRequest
from waypost.model.states import State
from waypost.policy.acceptance import brand_of
from waypost.system.ids import new_id


@dataclass(slots=True)
class Candidate:
    """A request and its type, its own id, and what the ledger already knows of it.

    client: the application it comes from; empty for none. sent_key: an idempotency key that came beside the
    request; if empty, the request's own counts. meaning: the bytes that tell its data from other data under
    its key; if empty, the data itself. key: its client and idempotency key; None without a key. recipient:
    the client and key of its recipient. named: what it says of its recipient. group: the key of its group,
    if its type has groups. condition: what it says in its group. extra: repeats counted into it before it is
    written. receipt: its response, once it has one. twin: an earlier candidate of the same transaction and
    key, whose response it gets. begins: the state it is accepted in. key_brand: the brand of the client's
    API key, if it has one.
    """

    type: NotificationType
    request: AnyRequest
    client: str = ""
    sent_key: str | None = None
    meaning: bytes = b""
    id: UUID = field(default_factory=new_id)
    key: tuple[str, str] | None = field(init=False)
    recipient: tuple[str, str] = field(init=False)
    named: dict[str, str] = field(init=False)
    begins: State = field(init=False)
    body_hash: bytes = b""
    group: bytes | None = None
    condition: Condition = NOTHING_SAID
    receipt: Receipt | None = None
    twin: Candidate | None = None
    extra: int = 0
    key_brand: str | None = None

    def __post_init__(self) -> None:
        key, person = self.sent_key or self.request.idempotency_key, self.request.recipient
        self.key = (self.client, key) if key else None
        self.recipient = self.client, person.key
        self.named = person.named
        self.begins = State.HELD if self.request.digested else State.ACCEPTED
        if (grouping := self.type.grouping) is not None:
            self.group = self._group_key(grouping.key(self.request.data))
            self.condition = grouping.condition(self.request.data)
        if self.key:
            # Without tags, the hash is the same as before tags existed.
            left_out = {"idempotency_key", "data", *(() if self.request.tags else ("tags",))}
            rest = self.request.model_dump_json(exclude=left_out, exclude_none=True)
            parts = [self.type.name.encode(), rest.encode(), self.meaning or self.request.data_json]
            if self.key_brand:  # another key of the client may be for another brand
                parts.append(self.key_brand.encode())
            self.body_hash = sha256(b"\0".join(parts)).digest()

    @property
    def open(self) -> bool:
        return self.receipt is None and self.twin is None

    @property
    def brand(self) -> str | None:
        """Its brand as the ledger keeps it: None for the default brand."""
        found = brand_of(self.request, self.type, self.key_brand)
        return None if found == DEFAULT else found

    def _group_key(self, same: str) -> bytes:
        """The hash that repeats share. They have the same client, as no client may see another's ids, and the
        same brand, and the same address, if the request names one besides the recipient's key."""
        _, key = self.recipient
        addresses = [url_of(self.named[field]) for field in ("email", "phone") if field in self.named]
        named = (
            self.type.name,
            key,
            str(self.request.digested),
            same,
            *([self.client] if self.client else []),
            *([f"brand {self.brand}"] if self.brand else []),
            *(f"to {address}" for address in addresses if address != key),
        )
        return sha256("\0".join(named).encode()).digest()
