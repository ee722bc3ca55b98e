"""Questions to the ledger."""

from uuid import uuid4

import pytest
from ledgers import accepted, claimed, taken

from waypost.ids import new_id
from waypost.ledger import reading
from waypost.ledger.recorder import Begin, Finish, Recorder
from waypost.outcome import Outcome, Phase, Verdict
from waypost.policy import Decision
from waypost.states import State

pytestmark = pytest.mark.anyio


async def test_status_tells_the_attempts_in_order_and_masks_the_address(ledger):
    batch, [one] = await claimed(ledger)
    recorder = Recorder(ledger)
    for words in ("first", "second"):
        begin = Begin(one.id, batch, "email", "smtp", None)
        await recorder.begin(begin)
        outcome = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, words=words)
        await recorder.finish(Finish(one.id, batch, Decision(State.SENDING), 0, begin.id, outcome))
    status = await reading.status(ledger, one.id)
    assert [(a.number, a.words) for a in status.attempts] == [(1, "first"), (2, "second")]
    assert status.recipient == "r0 ***@a.example"


async def test_there_is_no_status_of_what_never_was(ledger):
    assert await reading.status(ledger, uuid4()) is None


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
