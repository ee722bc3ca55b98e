"""Questions to the ledger."""

import pytest
from support.ledger import accepted, taken

from waypost.ledger.operations import stats
from waypost.ledger.queue.attempts import AttemptFinished
from waypost.ledger.queue.recorder import Recorder
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio


async def test_totals_count_only_the_batches_asked_for(ledger):
    mine, other = new_id(), new_id()
    await accepted(ledger, 3, mine)
    await accepted(ledger, 2, other)
    assert await stats.totals(ledger, [mine]) == {State.ACCEPTED: 3}
    assert await stats.totals_by_type(ledger) == {"note": {State.ACCEPTED: 5}}
    assert await stats.open_count(ledger) == 5


async def test_reasons_are_counted_and_masked(ledger):
    intake = new_id()
    await accepted(ledger, 2, intake)
    batch, many = await taken(ledger)
    decision = Decision(State.FAILED, "refused: someone@a.example unknown")
    await Recorder(ledger).finish_all([AttemptFinished(one.id, batch, decision) for one in many])
    assert await stats.reasons(ledger, [intake]) == {"failed: refused: s***e@a.example unknown": 2}
