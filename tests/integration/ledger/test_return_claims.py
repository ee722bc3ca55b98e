"""What a process gives back is free at once; what is on the wire is not given back."""

from uuid import uuid4

import pytest
from support.ledger import NOTE, attempt_rows, claimed, lost, reserved, rows, taken

from waypost.ledger.database.tables import batches as batch_rows
from waypost.ledger.queue import batches
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.queue.return_claims import return_batches
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision

pytestmark = pytest.mark.anyio
REFUSED = Outcome(Verdict.REFUSED, Phase.RCPT, code=550)


def begin(notification, batch):
    return AttemptStarted(notification.id, batch, "email", "smtp", None)


async def endings(ledger):
    return [row.ending for row in await rows(ledger, batch_rows)]


async def states(ledger):
    return sorted(row.state for row in await rows(ledger))


async def test_what_is_given_back_is_claimed_by_others_at_once(ledger):
    batch, _ = await claimed(ledger, 3)
    await return_batches(ledger, [batch])
    assert await endings(ledger) == ["returned"]
    assert (await reserved(ledger)).size == 3


async def test_what_is_on_the_wire_is_not_given_back_and_keeps_nothing_else(ledger):
    batch, [one, *_] = await claimed(ledger, 3)
    await Recorder(ledger).begin(begin(one, batch))
    await return_batches(ledger, [batch])
    assert await states(ledger) == ["accepted", "accepted", "sending"]
    assert (await reserved(ledger)).size == 2
    assert await endings(ledger) == [None, None], "it is in doubt, when the lease has lapsed"
    [found] = [one for one in await lost(ledger) if one.batch == batch]
    assert (found.free, found.in_doubt) == (0, 1)


async def test_what_one_provider_refused_and_the_next_was_not_offered_is_given_back(ledger):
    batch, [one] = await claimed(ledger)
    recorder, started = Recorder(ledger), begin(one, batch)
    await recorder.begin(started)
    await recorder.finish(
        AttemptFinished(one.id, batch, Decision(State.SENDING), step=1, attempt=started.id, outcome=REFUSED)
    )
    await return_batches(ledger, [batch])
    assert (await endings(ledger), await states(ledger)) == (["returned"], ["accepted"])
    assert [row.verdict for row in await attempt_rows(ledger)] == ["refused"]


async def test_what_was_done_or_lost_before_is_left_alone(ledger):
    for ending in (BatchResult.DONE, BatchResult.LOST):
        batch, _ = await claimed(ledger)
        await batches.end(ledger, batch, ending)
        await taken(ledger)
        await return_batches(ledger, [batch, uuid4()])
    assert [one for one in await endings(ledger) if one] == ["done", "lost"]
    assert "accepted" not in await states(ledger)


async def test_a_batch_that_a_run_has_taken_up_is_that_runs_to_give_back(ledger):
    batch, _ = await claimed(ledger)
    await return_batches(ledger, [batch], untaken=True)
    assert await endings(ledger) == [None]


async def test_a_batch_announced_for_a_run_ends(ledger):
    batch = await batches.open_for_run(ledger, NOTE, uuid4())
    await return_batches(ledger, [batch], untaken=True)
    assert await endings(ledger) == ["returned"]
