"""Requests from a file: accepted into the ledger 500 at a time; the workers' dispatchers do the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from deployments.hindrance import Hindrance
from deployments.registry import Registered
from waypost import acceptable
from waypost.ids import new_id
from waypost.isolation import ItemFailed, isolated
from waypost.ledger import Ledger, holds, intake, reading
from waypost.ledger.claims import CLAIM_LIMIT
from waypost.message import explain
from waypost.notification import Answer, Receipt
from waypost.request import AnyRequest
from waypost.states import TERMINAL, State

# A notification in one of these has ended, or waits for something that is not a run.
SETTLED = frozenset({*TERMINAL, State.DEFERRED, State.HELD})
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not accepted. The reason names the field and never repeats its value."""

    line: int
    reason: str


@dataclass(slots=True)
class Submission:
    """What became of a file. `states` is as of the last look, or else of when it was accepted; `lines` leaves
    empty ones out; `held` is whether the type was found held."""

    type: str
    lines: int = 0
    accepted: int = 0
    repeated: int = 0
    repeated_in_vain: int = 0
    grouped: int = 0
    rejections: list[Rejection] = field(default_factory=list[Rejection])
    intakes: list[UUID] = field(default_factory=list[UUID])
    runs: list[str] = field(default_factory=list[str])
    states: Counter[State] = field(default_factory=Counter[State])
    reasons: dict[str, int] = field(default_factory=dict[str, int])
    trouble: str = ""
    held: bool = False

    @property
    def settled(self) -> int:
        return sum(count for state, count in self.states.items() if state in SETTLED)

    @property
    def good(self) -> bool:
        """Every line accepted now or before, and none that failed or expired."""
        bad = (State.FAILED, State.EXPIRED)
        failed = self.repeated_in_vain or any(self.states[state] for state in bad)
        return not (self.rejections or self.trouble or failed)

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "type": self.type,
            "lines": self.lines,
            "accepted": self.accepted,
            "repeated": self.repeated,
            "repeated_in_vain": self.repeated_in_vain,
            "grouped": self.grouped,
            "rejected": [{"line": one.line, "reason": one.reason} for one in self.rejections],
            "states": dict(self.states),
            "reasons": self.reasons,
            "flow_runs": self.runs,
            "trouble": self.trouble,
        }

    def summary_rows(self) -> list[tuple[str, int]]:
        """For the table of totals: what came in, then what became of it."""
        rows = [("requests read", self.lines), ("accepted", self.accepted)]
        if self.repeated:
            rows.append(("accepted before, not sent again", self.repeated))
        if self.repeated_in_vain:
            rows.append(("  of these had failed or expired", self.repeated_in_vain))
        if self.grouped:
            rows.append(("counted in an open notification", self.grouped))
        if self.rejections:
            rows.append(("rejected", len(self.rejections)))
        waiting = {State.ACCEPTED: "waiting for its type's release" if self.held else "waiting for a run"}
        return rows + [(waiting.get(s, str(s)), count) for s, count in sorted(self.states.items())]


async def submit(
    ledger: Ledger,
    one: Registered,
    lines: Iterable[bytes],
    on_progress: Callable[[int], None] = lambda count: None,
) -> Submission:
    """Accept the requests of `lines`. Once this returns they are durable, whatever runs or does not."""
    sent = Submission(one.type.name)
    chunk: list[tuple[int, AnyRequest]] = []
    for number, line in enumerate(lines, 1):
        line = line.removeprefix(BOM) if number == 1 else line
        if not line.strip():
            continue
        sent.lines += 1
        request = _read(one, line)
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
    return sent


def _read(one: Registered, line: bytes) -> AnyRequest | str:
    """The request that a line is, or what is wrong with it."""
    try:
        with isolated("reading", ValidationError):
            request = one.request.validate_json(line)
            wrong = acceptable.faults(request, one.type)
    except ValidationError as error:
        return explain(error)
    except ItemFailed as failed:
        return str(failed)
    return "{}: {}".format(*wrong[0]) if wrong else request


async def _accept(
    ledger: Ledger, one: Registered, chunk: list[tuple[int, AnyRequest]], sent: Submission
) -> None:
    intake_id = new_id()
    receipts = await intake.accept_each(ledger, one.type, [request for _, request in chunk], intake_id)
    _count(sent, [number for number, _ in chunk], receipts)
    if any(isinstance(one, Receipt) and one.outcome is Answer.ACCEPTED for one in receipts):
        sent.intakes.append(intake_id)


def _count(sent: Submission, numbers: list[int], receipts: list[Receipt | ItemFailed]) -> None:
    for number, receipt in zip(numbers, receipts, strict=True):
        if isinstance(receipt, ItemFailed):
            sent.rejections.append(Rejection(number, str(receipt)))
            continue
        match receipt.outcome:
            case Answer.REPEATED:
                sent.repeated += 1
                sent.repeated_in_vain += receipt.state in (State.FAILED, State.EXPIRED)
            case Answer.GROUPED:
                sent.grouped += 1
            case Answer.CONFLICT:
                sent.rejections.append(Rejection(number, f"idempotency_key: {receipt.reason}"))
            case Answer.REFUSED:
                sent.rejections.append(Rejection(number, receipt.reason))
            case Answer.ACCEPTED:
                sent.accepted += 1
                sent.states[receipt.state or State.ACCEPTED] += 1


async def watch(ledger: Ledger, sent: Submission, work_pool: str, every: float = 0.3) -> AsyncGenerator[int]:
    """Look at the ledger until all that was accepted has settled, or `trouble` says why it does not go on;
    yields how many have settled."""
    hindrance = Hindrance(ledger, work_pool, sent.type, sent.intakes)
    while not sent.trouble:
        before = sent.states
        sent.states = await reading.totals(ledger, sent.intakes)
        if before != sent.states:
            hindrance.moved()
        yield sent.settled
        if sent.settled + await reading.not_yet_due(ledger, sent.intakes) >= sent.accepted:
            break
        sent.trouble = await hindrance.find()
        await asyncio.sleep(every)
    sent.states = await reading.totals(ledger, sent.intakes)
    sent.reasons = await reading.reasons(ledger, sent.intakes)
    sent.runs = [str(run) for run in await reading.runs_of(ledger, sent.intakes)]
    sent.held = any(held.type == sent.type for held in await holds.held_types(ledger))
