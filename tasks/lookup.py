"""Lookup: accept the requests that the run was given, then take the notifications that it is to send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from waypost import Batch, NotificationType, Priority, Request
from waypost.delivery.runtime import Runtime
from waypost.ledger import Ledger
from waypost.ledger.intake import accept
from waypost.ledger.operations import run_retry
from waypost.ledger.operations.run_retry import EarlierTry
from waypost.ledger.queue import claims, holds
from waypost.ledger.queue.claims import TakenBatch
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.mail.masking import mask_in
from waypost.model.batch import TakenUp
from waypost.model.notification import Notification
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.states import State
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed
from waypost.system.plurals import counted
from waypost.tasks.cancellation import Cancellation
from waypost.tasks.run_context import current_flow_run, is_retried, run_logger, step
from waypost.tasks.run_name import name_run
from waypost.tasks.task_name import name_step

Receipts = Sequence[Receipt | ItemFailed]
NOTHING_BEFORE = (
    "nothing to send again; the run before took nothing up, and what is due goes out with a run of its own"
)
LEFT_ALONE = {
    State.HELD: "held: a person decides; `waypost list --state held`",
    State.DEFERRED: "deferred: to be tried again",
    State.ACCEPTED: "waiting to go out with a run of their own",
    State.CLAIMED: "claimed by another run",
    State.SENDING: "being sent by another run",
    State.CANCELLED: "cancelled",
}
ACCEPTED_BEFORE = "accepted before"
SHOWN = 10  # requests that a line of the log names


async def lookup(
    type: NotificationType, requests: Sequence[Request[Any]] = (), batch: UUID | None = None
) -> Batch[Notification]:
    """The notifications of this run, with recipient, locale and addresses.

    With `requests`: those, accepted first. With `batch`: those claimed under it for this run. With
    neither: notifications of the type that are due and not claimed, one batch at most. In a run that a person
    retries in Prefect: those that failed or expired in it before, and no others.
    """
    return await step(_lookup, Batch(type, batch or new_id(), list(requests)), batch is not None)


@task(name="lookup", cache_policy=NO_CACHE)
async def _lookup(asked: Batch[Request[Any]], reserved: bool) -> Batch[Notification]:
    runtime, type, batch = await Runtime.current(), asked.type, asked.id
    earlier = await earlier_try(asked.id if reserved else None)
    receipts: Receipts = ()
    if asked.items:
        batch, receipts = await accept.accept_for_run(
            runtime.ledger, type, _keyed(asked.items), current_flow_run(), runtime.brands
        )
    elif earlier is None and not reserved:
        batch = None if is_retried() else await _whatever_is_due(runtime.ledger, type)
        if batch is None:
            return await _empty(runtime.ledger, type, asked.id)
    if earlier is not None and (run := current_flow_run()):
        into = batch if asked.items else None
        batch = await run_retry.claim_again(runtime.ledger, type, earlier, run, into)
    own = bool(asked.items) or earlier is not None
    taken = await _take_up(runtime, type, batch, 0 if own else type.batch_size)
    name_run(type, taken.notifications)
    facts = await _taken_up(runtime.ledger, type, batch, taken, receipts, earlier)
    _tell(taken, receipts, facts)
    # A batch that another run holds must not be ended by this run.
    return Batch(type, new_id() if taken.refused else batch, taken.notifications, facts)


async def _empty(ledger: Ledger, type: NotificationType, batch: UUID) -> Batch[Notification]:
    """The batch of a run that takes nothing up, with the reason."""
    held = await holds.why_held(ledger, type.name)
    note = held or (NOTHING_BEFORE if is_retried() else "")
    if note:
        run_logger().warning("%s", mask_in(note))
    name_step("lookup: 0")
    name_run(type, [])
    return Batch(type, batch, [], TakenUp(note=note, held=bool(held)))


async def earlier_try(batch: UUID | None) -> EarlierTry | None:
    """What this run left when it ran before, if a person retries it in Prefect. batch: the batch that it was
    created for, if any."""
    run = current_flow_run()
    if run is None or not is_retried():
        return None
    return await run_retry.earlier_try((await Runtime.current()).ledger, run, batch)


async def _take_up(runtime: Runtime, type: NotificationType, batch: UUID, limit: int) -> TakenBatch:
    current = Cancellation.current()
    if current:
        current.batch = batch  # before: the batch may be taken up although its answer is not awaited
    taken = await claims.take_up(
        runtime.ledger,
        type.name,
        batch,
        policy=SendingPolicy.of(type, runtime.settings.categories, runtime.types),
        flow_run_id=current_flow_run(),
        limit=limit,
        default_locale=runtime.settings.default_locale,
        default_timezone=runtime.settings.default_timezone,
    )
    if taken.notifications:
        runtime.leases.hold_for_run(batch)
        if current:
            current.taken_up(type, batch, [one.id for one in taken.notifications])
    if current and taken.refused:
        current.batch = None  # another run's: its notifications are not held
    return taken


async def _whatever_is_due(ledger: Ledger, type: NotificationType) -> UUID | None:
    for priority in Priority:
        claim = await claims.reserve(ledger, type.name, priority, type.batch_size)
        if claim is not None:
            return claim.id
    return None


def _keyed(requests: Sequence[Request[Any]]) -> list[Request[Any]]:
    """Requests without an idempotency key get one from their run, so that a run retried in the Prefect
    UI sends nothing again."""
    run = current_flow_run()
    return [
        request
        if request.idempotency_key or run is None
        else request.model_copy(update={"idempotency_key": f"run {run} request {index}"})
        for index, request in enumerate(requests)
    ]


async def _taken_up(
    ledger: Ledger,
    type: NotificationType,
    batch: UUID,
    taken: TakenBatch,
    receipts: Receipts,
    earlier: EarlierTry | None,
) -> TakenUp:
    """What the run's report says of its beginning."""
    refused = sum(_is_refused(one) for one in receipts)
    why = taken.reason or _set_aside(receipts, retried=earlier is not None)
    if earlier is None:
        return TakenUp(taken.ended, why, refused=refused, wrong=taken.wrong, held=taken.held)
    left = await run_retry.left_alone(ledger, type, earlier, batch)
    if not taken.notifications and not taken.reason:
        why = _nothing_again(earlier)
    elif left[State.SENT]:
        why = "; ".join(filter(None, (why, _sent_before(left[State.SENT], earlier))))
    told = "; ".join([*([why] if why else []), *_left(left, taken)])
    return TakenUp(
        taken.ended, told, refused=refused, left=left, held=taken.held, only_failed=earlier.only_failed
    )


def _nothing_again(earlier: EarlierTry) -> str:
    """Why a retried run sends nothing."""
    told = ["nothing to send again"]
    if earlier.summary:
        told.append(f'the run before said: "{earlier.summary}"')
    return "; ".join(told)


def _sent_before(count: int, earlier: EarlierTry) -> str:
    tries = "the first try" if len(earlier.batches) == 1 else "earlier tries"
    return f"{count} {'was' if count == 1 else 'were'} sent by {tries}"


def _left(left: Counter[State], taken: TakenBatch) -> Iterator[str]:
    """What a retried run leaves, and what to do. The reason of a held type counts what waits."""
    if doubtful := left[State.FAILED] + left[State.EXPIRED]:
        yield f"{doubtful} may have arrived: `waypost retry ID` sends each again"
    for state, told in LEFT_ALONE.items():
        if left[state] and not (taken.held and state in (State.ACCEPTED, State.DEFERRED)):
            yield f"{left[state]} {told}"


def _set_aside(receipts: Receipts, *, retried: bool) -> str:
    """What became of requests that this run does not send, and why. retried: an earlier try has accepted
    them."""
    found = Counter(filter(None, map(_aside, receipts)))
    if retried:
        del found[ACCEPTED_BEFORE]
    return ", ".join(f"{count} {why}" for why, count in found.items())


def _aside(receipt: Receipt | ItemFailed) -> str:
    if isinstance(receipt, ItemFailed):
        return str(receipt)
    match receipt.outcome:
        case IntakeResult.CONFLICT:
            return "under an idempotency key that another request has"
        case IntakeResult.REFUSED:
            return f"refused: {receipt.reason}"
        case IntakeResult.REPEATED:
            return ACCEPTED_BEFORE
        case IntakeResult.GROUPED:
            return "counted in an open notification"
        case IntakeResult.ACCEPTED if receipt.state is State.HELD:
            return "held for the digest"
        case IntakeResult.ACCEPTED if receipt.state is State.ACCEPTED:
            return "not due yet, or for another run"
        case _:
            return ""


def _is_refused(receipt: Receipt | ItemFailed) -> bool:
    return isinstance(receipt, ItemFailed) or receipt.outcome in (IntakeResult.CONFLICT, IntakeResult.REFUSED)


def _tell(taken: TakenBatch, receipts: Receipts, facts: TakenUp) -> None:
    """Log in one line how many the run sends, at which attempt, and which requests it does not send."""
    count = len(taken.notifications)
    name_step(f"lookup: {count}")
    told = [counted(count, "notification")] if count else []
    if count:
        told.append(f"attempt {_attempts(taken.notifications)}")
        if is_retried():
            told.append("retried in Prefect: only what failed, expired or was cancelled goes out")
    told += [*_refusals(receipts), *([mask_in(facts.note)] if facts.note else [])]
    if taken.ended:
        told.append(f"{len(taken.ended)} ended before: {taken.ended[0].reason}")
    level = run_logger().warning if facts.refused or facts.note or taken.ended else run_logger().info
    level("%s", "; ".join(told) or "nothing was due")


def _attempts(notifications: Sequence[Notification]) -> str:
    tries = {one.tries + 1 for one in notifications}
    return f"{min(tries)}" if len(tries) == 1 else f"{min(tries)} to {max(tries)}"


def _is_own(receipt: Receipt) -> bool:
    """Whether an earlier try of this run has accepted the request, which is no news."""
    return is_retried() and receipt.outcome is IntakeResult.REPEATED


def _refusals(receipts: Receipts) -> list[str]:
    """The requests that were not newly accepted, by kind."""
    told: dict[str, list[str]] = {}
    for index, receipt in enumerate(receipts):
        if isinstance(receipt, ItemFailed):
            told.setdefault("not accepted", []).append(f"requests[{index}]: {receipt}")
        elif receipt.outcome is not IntakeResult.ACCEPTED and not _is_own(receipt):
            told.setdefault(receipt.outcome, []).append(f"requests[{index}] is {receipt.id}")
    return [
        f"{len(which)} {outcome}: {', '.join(which[:SHOWN])}"
        + (f" and {len(which) - SHOWN} more" if len(which) > SHOWN else "")
        for outcome, which in told.items()
    ]
