"""Suppressions: addresses that must not be written to, with the cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from waypost.model.category import Category


class Cause(StrEnum):
    """Why an address is suppressed."""

    HARD_BOUNCE = "hard bounce"  # its mail server says that there is no such mailbox
    SOFT_BOUNCE = "repeated soft bounce"  # it was refused again and again, for a while
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


EVIDENCE_KEPT = 500  # characters
ALL = ""  # the scope of a suppression for all categories
EVERY_CLIENT = "*"  # no client has this name


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A suppression as a decision needs it. scope: a category, or empty for all."""

    cause: Cause
    scope: str = ALL

    def __str__(self) -> str:
        return f"{self.cause}, {self.scope or 'all categories'}"


class Suppression(BaseModel):
    """An address that must not be written to.

    address: `ada@shop.example` or a phone number. scope: the category; None for all. client: whose
    notifications it stops: a client's, those without a client (empty), or all. evidence: why, for people.
    expires_at: until when; None for good.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    scope: Category | None = None
    cause: Cause = Cause.MANUAL
    client: str = EVERY_CLIENT
    evidence: Annotated[str, Field(max_length=EVIDENCE_KEPT)] = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
