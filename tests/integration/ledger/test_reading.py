"""Questions to the ledger."""

import pytest
from ledgers import accepted, taken

from waypost.ids import new_id
from waypost.ledger import reading
from waypost.ledger.recorder import Finish, Recorder
from waypost.policy import Decision
from waypost.states import State

pytestmark = pytest.mark.anyio


async def test_totals_count_only_the_batches_asked_for(ledger):
    mine, other = new_id(), new_id()
    await accepted(ledger, 3, mine)
    await accepted(ledger, 2, other)
    assert await reading.totals(ledger, [mine]) == {State.ACCEPTED: 3}
    assert await reading.totals_by_type(ledger) == {"note": {State.ACCEPTED: 5}}
    assert await reading.open_count(ledger) == 5


async def test_reasons_are_counted_and_masked(ledger):
    intake = new_id()
    await accepted(ledger, 2, intake)
    batch, many = await taken(ledger)
    decision = Decision(State.FAILED, "refused: someone@a.example unknown")
    await Recorder(ledger).finish_all([Finish(one.id, batch, decision) for one in many])
    assert await reading.reasons(ledger, [intake]) == {"failed: refused: s***e@a.example unknown": 2}
