"""Accepts the requests of a file into the ledger, 500 at a time; the workers' dispatchers do the rest."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from waypost.deployments.doctor.obstacles import Hindrance
from waypost.deployments.registry import Registered
from waypost.deployments.request_file_kind import check_first
from waypost.gateway.http.body import ONE
from waypost.gateway.json_limits import over_limit
from waypost.ledger import Ledger
from waypost.ledger.intake import accept
from waypost.ledger.operations import stats
from waypost.ledger.queue import holds
from waypost.ledger.queue.claims import CLAIM_LIMIT
from waypost.model.brand import DEFAULT
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.request import AnyRequest
from waypost.model.states import TERMINAL, State
from waypost.model.validation_messages import explain
from waypost.policy import acceptance
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.plurals import counted

# A notification in one of these states has ended, or waits for something that is not a run.
SETTLED = frozenset({*TERMINAL, State.DEFERRED, State.HELD})
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not accepted. The reason names the field and never repeats its value."""

    line: int
    reason: str


@dataclass(slots=True)
class FileSend:
    """The result of sending a file. states: as of the last look at the ledger, or else of acceptance. lines:
    without empty ones. failed_before: how many were accepted before, and failed or expired. in_doubt: how
    many have an attempt without a known outcome, by state. for_digest: how many wait for a digest. held:
    whether the type was found held. next_try: when the first deferred notification is tried again.
    next_digest: when the next digest goes out.

    through: the last line of the file that was accepted or rejected. offered: the last line that the ledger
    was asked to accept. unkeyed: how many accepted requests have no idempotency key. complete: whether the
    file was read to its end."""

    type: str
    lines: int = 0
    accepted: int = 0
    repeated: int = 0
    failed_before: int = 0
    grouped: int = 0
    rejections: list[Rejection] = field(default_factory=list[Rejection])
    intakes: list[UUID] = field(default_factory=list[UUID])
    runs: list[str] = field(default_factory=list[str])
    states: Counter[State] = field(default_factory=Counter[State])
    reasons: dict[str, int] = field(default_factory=dict[str, int])
    in_doubt: Counter[State] = field(default_factory=Counter[State])
    for_digest: int = 0
    next_digest: datetime | None = None
    next_try: datetime | None = None
    trouble: str = ""
    held: bool = False
    through: int = 0
    offered: int = 0
    unkeyed: int = 0
    complete: bool = False

    @property
    def interrupted(self) -> str:
        """What to do about a file that was not read to its end."""
        known = max(self.through, self.offered)
        told = f"lines after {known:,} are not done"
        if self.through:
            told = f"{_lines(1, self.through)} done, {told}"
        if self.offered > self.through:
            told += f"; {_lines(self.through + 1, self.offered)} perhaps accepted: see `waypost list`"
        if not self.unkeyed:
            return f"{told}. Send the file again: accepted lines are not sent again"
        return (
            f"{told}. {counted(self.unkeyed, 'accepted line has', 'accepted lines have')} no idempotency_key "
            "and would be sent again; send the other lines in a separate file"
        )

    @property
    def settled(self) -> int:
        return sum(count for state, count in self.states.items() if state in SETTLED)

    @property
    def good(self) -> bool:
        """Whether every line was accepted, now or before, and none failed or expired."""
        bad = (State.FAILED, State.EXPIRED)
        failed = self.failed_before or any(self.states[state] for state in bad)
        return not (self.rejections or self.trouble or failed)

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "type": self.type,
            "lines": self.lines,
            "accepted": self.accepted,
            "repeated": self.repeated,
            "failed_before": self.failed_before,
            "repeated_in_vain": self.failed_before,  # its name before; scripts may read it
            "grouped": self.grouped,
            "rejected": [{"line": one.line, "reason": one.reason} for one in self.rejections],
            "states": dict(self.states),
            "reasons": self.reasons,
            "in_doubt": self.in_doubt.total(),
            "next_try": self.next_try,
            "next_digest": self.next_digest,
            "flow_runs": self.runs,
            "trouble": self.trouble,
        }

    def summary_rows(self) -> list[tuple[str, int]]:
        """For the table of totals: the requests, then their states."""
        rows = [("requests read", self.lines), ("accepted", self.accepted)]
        if self.repeated:
            rows.append(("already accepted, not sent again", self.repeated))
        if self.failed_before:
            rows.append(("  of these, failed or expired", self.failed_before))
        if self.grouped:
            rows.append(("grouped into an open notification", self.grouped))
        if self.rejections:
            rows.append(("rejected", len(self.rejections)))
        waiting = {State.ACCEPTED: "waiting for the type's release" if self.held else "waiting for a run"}
        if self.for_digest == self.states[State.HELD]:
            waiting[State.HELD] = "waiting for the digest"
        return rows + [(waiting.get(s, str(s)), count) for s, count in sorted(self.states.items()) if count]


async def submit(
    ledger: Ledger,
    one: Registered,
    lines: Iterable[bytes],
    on_progress: Callable[[int], None] = lambda count: None,
    sent: FileSend | None = None,
    brands: Collection[str] = (DEFAULT,),
) -> FileSend:
    """Accept the requests of `lines`. They are durable when this returns, even if no worker runs. A file that
    cannot be read to its end is `trouble`. Raises NotJsonl, before anything is accepted, for a file that does
    not begin with a line of JSON.

    sent: the result, for a caller that needs it when this is interrupted. brands: the names of all brands."""
    sent = sent or FileSend(one.type.name)
    chunk: list[tuple[int, AnyRequest]] = []
    for number, line in enumerate(_until_unreadable(lines, sent), 1):
        line = line.removeprefix(BOM) if number == 1 else line
        if not line.strip():
            continue
        if not sent.lines:
            check_first(line)
        sent.lines += 1
        request = read(one, line, brands)
        if isinstance(request, str):
            sent.rejections.append(Rejection(number, request))
        else:
            chunk.append((number, request))
        if len(chunk) == CLAIM_LIMIT:
            await _accept(ledger, one, chunk, sent)
            chunk = []
            on_progress(sent.lines)
    if chunk:
        await _accept(ledger, one, chunk, sent)
    sent.rejections.sort(key=lambda rejected: rejected.line)
    return sent


def _lines(first: int, last: int) -> str:
    return f"line {first:,} is" if first == last else f"lines {first:,} to {last:,} are"


def read(one: Registered, line: bytes, brands: Collection[str] = (DEFAULT,)) -> AnyRequest | str:
    """The request in a line, or what is wrong with it. The limits are those of a request over HTTP. brands:
    the names of all brands."""
    if len(line) > ONE:
        return f"the line is longer than {ONE:,} bytes, the limit for a request"
    if reason := over_limit(line):
        return reason
    try:
        with isolated("reading", ValidationError):
            request = one.request.validate_json(line)
            wrong = acceptance.faults(request, one.type, brands)
    except ValidationError as error:
        return explain(error)
    except ItemFailed as failed:
        return str(failed)
    return "{}: {}".format(*wrong[0]) if wrong else request


def _until_unreadable(lines: Iterable[bytes], sent: FileSend) -> Iterator[bytes]:
    """The lines up to the end of the file, or to a place where it cannot be read."""
    try:
        yield from lines
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        sent.trouble = f"the file cannot be read after {counted(sent.lines, 'request')} ({why})"


async def _accept(
    ledger: Ledger, one: Registered, chunk: list[tuple[int, AnyRequest]], sent: FileSend
) -> None:
    intake_id = new_id()
    sent.offered = chunk[-1][0]
    receipts = await accept.accept_each(ledger, one.type, [request for _, request in chunk], intake_id)
    _count(sent, chunk, receipts)
    sent.through = sent.offered
    if any(isinstance(one, Receipt) and one.outcome is IntakeResult.ACCEPTED for one in receipts):
        sent.intakes.append(intake_id)


def _count(sent: FileSend, chunk: list[tuple[int, AnyRequest]], receipts: list[Receipt | ItemFailed]) -> None:
    for (number, request), receipt in zip(chunk, receipts, strict=True):
        if isinstance(receipt, ItemFailed):
            sent.rejections.append(Rejection(number, str(receipt)))
            continue
        match receipt.outcome:
            case IntakeResult.REPEATED:
                sent.repeated += 1
                sent.failed_before += receipt.state in (State.FAILED, State.EXPIRED)
            case IntakeResult.GROUPED:
                sent.grouped += 1
            case IntakeResult.CONFLICT:
                sent.rejections.append(Rejection(number, f"idempotency_key: {receipt.reason}"))
            case IntakeResult.REFUSED:
                sent.rejections.append(Rejection(number, receipt.reason))
            case IntakeResult.ACCEPTED:
                sent.accepted += 1
                if request.idempotency_key is None:
                    sent.unkeyed += 1
                sent.states[receipt.state or State.ACCEPTED] += 1
                sent.for_digest += receipt.state == State.HELD


async def watch(
    ledger: Ledger, sent: FileSend, work_pool: str, every: float = 0.3, gateway: str | None = None
) -> AsyncGenerator[int]:
    """Watch the ledger until all accepted notifications have settled, or `trouble` says why they do not;
    yields how many have settled. gateway: the URL of a running gateway, which may know why."""
    hindrance = Hindrance(ledger, work_pool, sent.type, sent.intakes, gateway)
    while not sent.trouble:
        before = sent.states
        sent.states = await stats.totals(ledger, sent.intakes)
        if before != sent.states:
            hindrance.moved()
        yield sent.settled
        if sent.settled + await stats.not_yet_due(ledger, sent.intakes) >= sent.accepted:
            break
        sent.trouble = await hindrance.find()
        await asyncio.sleep(every)
    sent.states = await stats.totals(ledger, sent.intakes)
    sent.reasons = await stats.reasons(ledger, sent.intakes)
    sent.next_try = await stats.next_try(ledger, sent.intakes)
    sent.in_doubt = await stats.in_doubt(ledger, sent.intakes)
    sent.for_digest = await stats.for_digest(ledger, sent.intakes)
    sent.runs = [str(run) for run in await stats.runs_of(ledger, sent.intakes)]
    sent.held = any(held.type == sent.type for held in await holds.held_types(ledger))
