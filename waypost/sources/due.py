"""Asks a source who is due, and accepts a request for each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from waypost.ledger import Ledger
from waypost.ledger.intake import accept
from waypost.model.notification_type import NotificationType
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.request import AnyRequest
from waypost.model.source import Source
from waypost.sources.reading import rows_of
from waypost.sources.requests import NotDue, Rejected, Requests
from waypost.sources.rows import AT_ONCE, SourceFailed
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed
from waypost.system.plurals import counted

REJECTIONS_KEPT = 100


def no_source(type: str) -> str:
    """What to do about a type that asks a source and has none."""
    return f"no source is set for {type}: set it in WAYPOST_SOURCES; `waypost docs types` shows how"


@dataclass(frozen=True, slots=True)
class Due:
    """A person who is due. place: the row in the source."""

    place: str
    request: AnyRequest


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is not accepted. The reason names the field and never repeats its value."""

    place: str
    reason: str


SECOND = (
    "a second row for this recipient and date, with other facts; a recipient is notified once per date, so "
    "put both into one row"
)


@dataclass(slots=True)
class Asked:
    """What a source said of a date. rows: how many were read. due: how many of them are due. other_dates: how
    many are for another date. before: how many were notified before for the date. rejections: the first of
    the rejected. trouble: why the source was not read to its end. unused: columns that no field takes."""

    type: str
    day: date
    rows: int = 0
    due: int = 0
    other_dates: int = 0
    accepted: int = 0
    before: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list[Rejection])
    trouble: str = ""
    unused: list[str] = field(default_factory=list[str])
    began: UUID = field(default_factory=new_id)  # an id: those of notifications accepted since are later

    @property
    def good(self) -> bool:
        """Whether every row could be read and was accepted, now or before."""
        return not (self.rejected or self.trouble)

    def reject(self, place: str, reason: str) -> None:
        """Count a row that is not accepted."""
        self.rejected += 1
        if len(self.rejections) < REJECTIONS_KEPT:
            self.rejections.append(Rejection(place, reason))

    def in_words(self) -> str:
        """`2026-03-02: 40 rows, 38 due, 36 accepted, 2 notified before, 2 rejected`."""
        counts = {
            "row" if self.rows == 1 else "rows": self.rows,
            "for another date": self.other_dates,
            "due": self.due,
            "accepted": self.accepted,
            "notified before": self.before,
            "rejected": self.rejected,
        }
        told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "no rows"
        unused = f"; columns not used: {', '.join(self.unused)}" if self.unused else ""
        return f"{self.day}: {told}{unused}{'; ' if self.trouble else ''}{self.trouble}"

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "type": self.type,
            "date": self.day.isoformat(),
            "rows": self.rows,
            "due": self.due,
            "other_dates": self.other_dates,
            "accepted": self.accepted,
            "before": self.before,
            "rejected": self.rejected,
            "rejections": [{"row": one.place, "reason": one.reason} for one in self.rejections],
            "unused_columns": self.unused,
            "trouble": self.trouble,
        }


async def groups(
    type: NotificationType, source: Source, project: Path, asked: Asked
) -> AsyncGenerator[list[Due]]:
    """The people who are due, in groups of at most AT_ONCE. Counts in `asked`. A source that fails ends the
    groups; those read before are among them."""
    requests = Requests(type, asked.day)
    group: list[Due] = []
    try:
        async with aclosing(rows_of(source, asked.day, project)) as parts:
            async for part in parts:
                for row in part:
                    asked.rows += 1
                    try:
                        group.append(Due(row.place, requests.of(row)))
                    except NotDue:
                        asked.other_dates += 1
                    except Rejected as rejected:
                        asked.reject(row.place, str(rejected))
                if len(group) >= AT_ONCE:
                    asked.due += AT_ONCE
                    yield group[:AT_ONCE]
                    group = group[AT_ONCE:]
    except SourceFailed as failed:
        after = f" after {counted(asked.rows, 'row')}" if asked.rows else ""
        asked.trouble = f"the source failed{after}: {failed}"
    asked.unused = list(requests.unused)
    if group:
        asked.due += len(group)
        yield group


async def accept_all_but_the_last(
    ledger: Ledger, type: NotificationType, source: Source, project: Path, asked: Asked
) -> list[Due]:
    """Accept the people who are due, group by group; workers start runs for them. Returns the last group, for
    the caller to accept: a run sends it itself."""
    waiting: list[Due] = []
    async with aclosing(groups(type, source, project, asked)) as found:
        async for group in found:
            await accept_group(ledger, type, waiting, asked)
            waiting = group
    return waiting


async def accept_group(ledger: Ledger, type: NotificationType, group: Sequence[Due], asked: Asked) -> None:
    """Accept a group in one transaction."""
    if group:
        receipts = await accept.accept_each(ledger, type, [one.request for one in group])
        count(asked, group, receipts)


async def try_group(
    ledger: Ledger, type: NotificationType, group: Sequence[Due], asked: Asked, seen: dict[str, bytes]
) -> list[Due]:
    """Count in `asked` what accepting a group would do, and accept nothing. Returns those who would be
    accepted. seen: the requests of the groups before, by idempotency key; gets those of this one."""
    fresh: list[Due] = []
    for one in group:
        key, said = one.request.idempotency_key or "", _hash(one.request)
        if key not in seen:
            seen[key] = said
            fresh.append(one)
        elif seen[key] == said:
            asked.before += 1
        else:
            asked.reject(one.place, SECOND)
    return count(asked, fresh, await accept.try_each(ledger, type, [one.request for one in fresh]))


def _hash(request: AnyRequest) -> bytes:
    return sha256(request.model_dump_json(exclude={"data"}).encode() + request.data_json).digest()


def count(asked: Asked, group: Sequence[Due], receipts: Sequence[Receipt | ItemFailed]) -> list[Due]:
    """Count the answers to a group in `asked`; returns those who are accepted. A person whose facts have
    changed since was notified before; a second row with other facts is rejected, so that nobody takes it for
    notified."""
    taken: list[Due] = []
    for one, receipt in zip(group, receipts, strict=True):
        if isinstance(receipt, ItemFailed):
            asked.reject(one.place, str(receipt))
        elif receipt.outcome is IntakeResult.REFUSED:
            asked.reject(one.place, receipt.reason)
        elif receipt.outcome is IntakeResult.CONFLICT and receipt.id and receipt.id > asked.began:
            asked.reject(one.place, SECOND)
        elif receipt.outcome in (IntakeResult.REPEATED, IntakeResult.CONFLICT):
            asked.before += 1
        else:
            asked.accepted += 1
            taken.append(one)
    return taken
