"""Decides from the situation what is wrong: each trouble with its begin, its cause and what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from waypost.delivery.provider_state import OpenCircuit
from waypost.deployments.dashboard.situation import Situation
from waypost.deployments.dashboard.traffic import HOUR
from waypost.ledger.operations.overview import MOST, Waiting
from waypost.mail.masking import mask_in
from waypost.model.states import State
from waypost.system.moments import in_utc
from waypost.tasks.markdown import as_code
from waypost.tasks.run_table_cells import in_ui

OVERDUE = timedelta(seconds=60)  # nothing due waits this long while workers keep up
LATE = timedelta(minutes=5)  # with runs at work: more is accepted than is sent
REASONS = 3
EACH = 50  # the most failures of a type that are read and listed
LONGEST = 160  # letters of a reason


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a person should know. what: the fault, in a few words. since: when it began. why: the
    cause, as markdown. do: what to do. note: nothing has to be done."""

    what: str
    since: datetime | None
    why: str
    do: str
    note: bool = False


def troubles(seen: Situation) -> list[Trouble]:
    """What is wrong, the worst first; notes last."""
    found = [
        *_providers(seen),
        *_stopped(seen),
        *_overdue(seen),
        *_suspects(seen),
        *_failures(seen),
        *_templates(seen),
        *_held_for_a_person(seen),
        *_held(seen),
        *_deferred(seen),
    ]
    return sorted(found, key=lambda one: one.note)


def _providers(seen: Situation) -> Iterable[Trouble]:
    worst: dict[tuple[str, str], OpenCircuit] = {}
    for circuit in sorted(seen.circuits, key=lambda one: one.since, reverse=True):
        worst[circuit.provider, circuit.client] = circuit
    for circuit in worst.values():
        whose = f" for the mail of client {circuit.client}" if circuit.client else ""
        tries = [one.until for one in seen.circuits if one.provider == circuit.provider and one.until]
        again = f"at {in_utc(min(tries), seen.now)}" if tries else "with the next message"
        waits = sum(
            of.count + of.in_hand
            for type, of in seen.waiting.items()
            if circuit.provider in seen.routes.get(type, ())
        )
        yield Trouble(
            what=f"{circuit.provider} does not work{whose}",
            since=circuit.since,
            why=f"{as_code(circuit.why[:LONGEST])}. {_wait(waits)}",
            do=f"Waypost tries it again {again}. Start that server, or correct its URL or password; "
            "`waypost doctor` tests it.",
        )


def _stopped(seen: Situation) -> Iterable[Trouble]:
    """A paused pool stops every lane, for one reason."""
    for why in dict.fromkeys(seen.stopped.values()):
        what, _, do = why.partition("; ")
        yield Trouble(what, None, "Its notifications wait", f"{do}.")


def _held(seen: Situation) -> Iterable[Trouble]:
    for hold in seen.held:
        waits = seen.waiting.get(hold.type, Waiting()).count
        yield Trouble(
            what=f"{hold.type} is held",
            since=hold.since,
            why=f"{as_code(mask_in(hold.reason)[:LONGEST]) or 'no reason given'}. {_wait(waits)}",
            do=f"`waypost release {hold.type}` sends what waits.",
        )


def _overdue(seen: Situation) -> Iterable[Trouble]:
    """What is due and does not go, unless another trouble explains it."""
    if seen.stopped:
        return
    for type, of in seen.waiting.items():
        if of.due_at is None or _is_explained(seen, type):
            continue
        if not is_late(of, seen.now):
            continue
        if not of.in_hand:
            yield Trouble(
                what=f"no run starts for {type}",
                since=of.due_at,
                why=f"{_wait(of.count)}, and no dispatcher takes them",
                do="Start `waypost up` or `waypost worker`, or restart it: it may not know this type.",
            )
        else:
            yield Trouble(
                what=f"{type} falls behind",
                since=of.due_at,
                why=f"{_wait(of.count)}: more is accepted than is sent",
                do="See the pace of the providers below; start more workers if the providers take more.",
            )


def is_late(of: Waiting, moment: datetime) -> bool:
    """Whether what is due of a type waits longer than it does while workers keep up."""
    return of.due_at is not None and moment - of.due_at > (LATE if of.in_hand else OVERDUE)


def _is_explained(seen: Situation, type: str) -> bool:
    broken = {circuit.provider for circuit in seen.circuits if not circuit.client}
    return any(hold.type == type for hold in seen.held) or bool(broken & {*seen.routes.get(type, ())})


def _suspects(seen: Situation) -> Iterable[Trouble]:
    for one in seen.suspects:
        yield Trouble(
            what=f"runs of {one.type} end before they send {one.id}",
            since=None,
            why=as_code(one.reason[:LONGEST]) or "its run has it",
            do=f"`waypost explain {one.id}` tells its history; `waypost cancel {one.id}` ends it.",
        )


def _templates(seen: Situation) -> Iterable[Trouble]:
    for type, why in sorted(seen.template_faults.items()):
        yield Trouble(
            what=f"the changed templates of {type} are not in use",
            since=None,
            why=f"{as_code(why[:LONGEST])}. The templates before stay in use",
            do=f"Correct the file: workers take it up in seconds. `waypost templates check {type}` tests it.",
        )


def _failures(seen: Situation) -> Iterable[Trouble]:
    """What failed in the last hour and nobody has dealt with; older failures stay in their own artifact."""
    for type, failures in seen.failures.items():
        ended = [one for one in failures if one.state != State.HELD]
        fresh = [one for one in ended if one.at is None or one.at > seen.now - HOUR]
        if not fresh:
            continue
        counted = seen.hour.get(type)
        count = max(
            len(fresh), counted.failed + counted.expired if counted and len(fresh) == len(ended) else 0
        )
        moments = [one.at for one in fresh if one.at]
        yield Trouble(
            what=f"{count} {type} not delivered",
            since=min(moments, default=None),
            why=_reasons(Counter(one.reason for one in fresh)),
            do=f"See {failures_link(seen, type, 'its failures')}; `waypost retry ID` sends again.",
        )


def _held_for_a_person(seen: Situation) -> Iterable[Trouble]:
    for type, failures in seen.failures.items():
        if held := [one for one in failures if one.state == State.HELD]:
            yield Trouble(
                what=f"{len(held)}{' or more' if len(held) == EACH else ''} {type} held for a person",
                since=None,
                why=_reasons(Counter(one.reason for one in held)),
                do=f"`waypost list --type {type} --state held` lists them; `waypost retry ID` sends one.",
            )


def _deferred(seen: Situation) -> Iterable[Trouble]:
    for type, of in seen.waiting.items():
        if of.deferred and not _is_explained(seen, type):
            at = f"; next try at {in_utc(of.next_try, seen.now)}" if of.next_try else ""
            yield Trouble(
                what=f"{number(of.deferred)} {type} deferred",
                since=of.deferred_since,
                why=_reasons(of.reasons),
                do=f"Waypost tries again by itself{at}.",
                note=True,
            )


def _reasons(counted: Counter[str]) -> str:
    shown = [
        as_code(reason[:LONGEST]) + (f" ({count} times)" if count > 1 else "")
        for reason, count in counted.most_common(REASONS)
        if reason
    ]
    return "; ".join(shown) or "no reason known"


def failures_key(type: str) -> str:
    """The key of the artifact with the failures of a type."""
    return f"{type}-failures"


def failures_link(seen: Situation, type: str, text: str) -> str:
    """A link to that artifact. The page of its key has no text of it, only a list."""
    id = seen.failure_artifacts.get(type)
    page = f"/artifacts/artifact/{id}" if id else f"/artifacts/key/{failures_key(type)}"
    return f"[{text}]({in_ui(page)})"


def _wait(count: int) -> str:
    return f"{number(count)} notification{' waits' if count == 1 else 's wait'}"


def number(count: int) -> str:
    """A count in words: what is counted ends at a limit."""
    return f"{count:,} or more" if count >= MOST else f"{count:,}"
