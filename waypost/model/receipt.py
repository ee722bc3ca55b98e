"""The answer to a request: accepted, repeated, grouped, conflicting or refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from waypost.model.states import State


class IntakeResult(StrEnum):
    """The result of a request."""

    ACCEPTED = "accepted"  # a notification of its own
    REPEATED = "repeated"  # the same idempotency key and body as before
    GROUPED = "grouped"  # counted in an open notification
    CONFLICT = "conflict"  # the same idempotency key with another body: refused
    REFUSED = "refused"  # no channel reaches its recipient: the reason begins with the field that is missing


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one request. Receipts are in the order of the requests. id: of the new notification, or
    of the earlier one. state: of that notification, if known. first_state: the state in the first answer to
    the request: accepted, held or grouped."""

    outcome: IntakeResult
    id: UUID
    state: State | None = None
    reason: str = ""
    first_state: str = "accepted"
