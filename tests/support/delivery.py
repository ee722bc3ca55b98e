"""What a worker would do to a notification, without one: taken up, attempted, answered."""

from __future__ import annotations

from uuid import UUID

from deployments.registry import registered
from waypost.ledger import Ledger
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.notification import Notification
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision

TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, 250, "2.0.0", "queued for ada@a.example")


async def taken_up(ledger: Ledger, type: str) -> tuple[UUID, list[Notification]]:
    """A batch of what is due in the type's own lane."""
    claim = await claims.reserve(ledger, type, registered()[type].type.lane)
    assert claim is not None
    return claim.id, (await claims.take_up(ledger, type, claim.id)).notifications


async def delivered(ledger: Ledger, type: str) -> list[UUID]:
    """Whatever of a type is due, sent at the first attempt."""
    batch, taken = await taken_up(ledger, type)
    for one in taken:
        await send(ledger, batch, one.id)
    return [one.id for one in taken]


async def send(ledger: Ledger, batch: UUID, id: UUID) -> None:
    """Send one of a batch by mail."""
    recorder, begin = Recorder(ledger), AttemptStarted(id, batch, "email", "primary", None)
    await recorder.begin(begin)
    await recorder.finish(AttemptFinished(id, batch, Decision(State.SENT), 0, begin.id, TAKEN))
