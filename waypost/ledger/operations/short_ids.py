"""Short ids: enough of an id to find it by the primary key.

An id begins with the millisecond in which it was made, and ends with 32 random bits. The beginning keeps
the lookup within a few rows of the index; the end tells these apart: `019b76daa8..3c4d5e`. Later rows do not
begin like earlier rows, so a short id that is unique stays unique. Two ids of one quarter of a second share
their end once in 16 million pairs; the lookup then names both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import notifications, webhooks

BEGINNING = 10  # digits that are shown: a quarter of a second
END = 6  # digits that are shown
SHORTEST = 4  # digits of a beginning alone: the lookup stops after a few rows
SHORTEST_WITH_END = 8  # digits before `..`: a minute, all rows of which are looked at
LONGEST_END = 12
DIGITS = 32
CANDIDATES = 5

_FORM = re.compile(r"(?P<begins>[0-9a-f]{4,32})(?:\.\.(?P<ends>[0-9a-f]{1,12}))?")


class NoSuchId(LookupError):
    """No row has an id of that form."""


class AmbiguousId(LookupError):
    """More than one row has an id of that form. The message names the first few."""


@dataclass(frozen=True, slots=True)
class ShortId:
    """An id as a person gives it: how it begins, and how it ends if that was given. All 32 digits are the id
    itself."""

    begins: str
    ends: str = ""

    @property
    def whole(self) -> UUID | None:
        """The id, if all of it was given."""
        return UUID(self.begins) if len(self.begins) == DIGITS else None

    def __str__(self) -> str:
        return f"{self.begins}..{self.ends}" if self.ends else self.begins


def parse(text: str, listed: str = "list") -> ShortId:
    """Raises ValueError, which says what is allowed. listed: the command that lists such ids."""
    found = _FORM.fullmatch(text.strip().lower().replace("-", ""))
    if found is None:
        raise ValueError(
            f"not an id: give the id as `waypost {listed}` shows it, or its first {SHORTEST} digits or more"
        )
    given = ShortId(found["begins"], found["ends"] or "")
    if given.whole and not given.begins.endswith(given.ends):
        raise ValueError(f"the id does not end in {given.ends}: leave out the two dots and the end")
    if given.ends and len(given.begins) < SHORTEST_WITH_END:
        raise ValueError(f"an id needs {SHORTEST_WITH_END} digits or more before its two dots")
    return given


def short(id: object) -> str:
    """The short form of an id; a damaged id as it is."""
    return f"{id.hex[:BEGINNING]}..{id.hex[-END:]}" if isinstance(id, UUID) else str(id)


async def notification_id(ledger: Ledger, given: ShortId) -> UUID:
    """The id of the notification meant, which may be gone if all digits were given. Raises NoSuchId and
    AmbiguousId."""
    return await _find(ledger, notifications.c.id, given, "notification")


async def webhook_id(ledger: Ledger, given: ShortId) -> UUID:
    """Like `notification_id`, of a webhook."""
    return await _find(ledger, webhooks.c.id, given, "webhook")


async def _find(ledger: Ledger, column: sa.Column[UUID], given: ShortId, what: str) -> UUID:
    if given.whole:
        return given.whole
    first, last = (UUID(given.begins.ljust(DIGITS, digit)) for digit in "0f")
    wanted = sa.select(*tolerant.raw(column)).where(column >= first, column <= last)
    if given.ends:
        wanted = wanted.where(sa.cast(column, sa.Text).like(f"%{given.ends}"))
    wanted = wanted.order_by(column).limit(CANDIDATES + 1)
    found = await ledger.read(lambda connection: tolerant.ids(connection, wanted))
    if not found:
        raise NoSuchId(f"no {what} has an id like {given}")
    if len(found) > 1:
        more = ", and more" if len(found) > CANDIDATES else ""
        listed = ", ".join(map(str, found[:CANDIDATES]))
        raise AmbiguousId(f"{given} is not unique; give one of these in full: {listed}{more}")
    return found[0]
