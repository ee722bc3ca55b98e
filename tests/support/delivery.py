"""Does a worker's part without one: takes notifications up, attempts them, records outcomes."""

from __future__ import annotations

from uuid import UUID

from waypost.deployments.registry import registered
from waypost.ledger import Ledger
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.notification import Notification
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision

VERSION = "0123456789ab"  # of the templates
TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, 250, "2.0.0", "queued for ada@a.example")


async def taken_up(ledger: Ledger, type: str) -> tuple[UUID, list[Notification]]:
    """Take up a batch of the notifications that are due in the type's own lane."""
    claim = await claims.reserve(ledger, type, registered()[type].type.lane)
    assert claim is not None
    return claim.id, (await claims.take_up(ledger, type, claim.id)).notifications


async def delivered(ledger: Ledger, type: str) -> list[UUID]:
    """Send all due notifications of a type at the first attempt; returns their ids."""
    batch, taken = await taken_up(ledger, type)
    for one in taken:
        await send(ledger, batch, one.id)
    return [one.id for one in taken]


async def send(ledger: Ledger, batch: UUID, id: UUID) -> None:
    """Record that a notification of a batch was sent by mail."""
    begin = AttemptStarted(id, batch, "email", "primary", None, template_version=VERSION)
    recorder = Recorder(ledger)
    await recorder.begin(begin)
    await recorder.finish(AttemptFinished(id, batch, Decision(State.SENT), 0, begin.id, TAKEN))
