"""An answer that comes after a reaper took its notification back settles the doubt, and only its own."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.ledger import (  # fmt: skip
    DIGEST,
    LONG_AGO,
    NOTE,
    attempt_rows,
    bundled,
    change,
    claimed,
    lost,
    reserved,
    rows,
    taken,
)

from waypost import Doubt
from waypost.ledger.database.tables import events
from waypost.ledger.operations import retry_cancel
from waypost.ledger.operations.search import Filter
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now

pytestmark = pytest.mark.anyio
LATER = now() + timedelta(minutes=5)
TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250), Decision(State.SENT)
REFUSED = Outcome(Verdict.REFUSED, Phase.DOT, code=554), Decision(State.FAILED, "554 spam")
REFUSED_WITH_ANOTHER_STEP = REFUSED[0], Decision(State.SENDING)
DEFERRED = Outcome(Verdict.DEFERRED, Phase.DOT, code=451), Decision(State.DEFERRED, "451", LATER)
NOT_OPENED = Outcome(Verdict.DEFERRED, Phase.CONNECT), Decision(State.CLAIMED)
UNKNOWN = Outcome(Verdict.UNKNOWN, Phase.DOT), Decision(State.DEFERRED, "no answer", LATER)


async def in_doubt(ledger, doubt=Doubt.RESEND):
    """A message on the wire, whose run was taken for lost; how its worker writes an answer."""
    batch, [one] = await claimed(ledger)
    begin = AttemptStarted(one.id, batch, "email", "smtp", None)
    await Recorder(ledger).begin(begin)
    await lost(ledger, {"note": replace(NOTE, when_in_doubt=doubt)})

    async def answer(outcome, decision):
        return await Recorder(ledger).finish(AttemptFinished(one.id, batch, decision, 0, begin.id, outcome))

    return answer


@pytest.mark.parametrize(
    ("doubt", "answer", "state"),
    [
        (Doubt.RESEND, TAKEN, "sent"),
        (Doubt.RESEND, REFUSED, "failed"),
        (Doubt.RESEND, REFUSED_WITH_ANOTHER_STEP, "accepted"),
        (Doubt.RESEND, DEFERRED, "deferred"),
        (Doubt.RESEND, NOT_OPENED, "accepted"),
        (Doubt.HOLD, TAKEN, "sent"),
        (Doubt.HOLD, REFUSED, "failed"),
        (Doubt.DROP, TAKEN, "sent"),
    ],
)
async def test_a_late_answer_settles_the_doubt(ledger, doubt, answer, state):
    write = await in_doubt(ledger, doubt)
    assert await write(*answer)
    [row], [attempt] = await rows(ledger), await attempt_rows(ledger)
    assert (row.state, row.in_doubt, attempt.verdict) == (state, 0, answer[0].verdict)
    assert (row.finished_at is not None) == (state in ("sent", "failed"))
    assert [event.what for event in await rows(ledger, events)] == ["run lost", "late response"]


async def test_written_twice_it_settles_the_doubt_once(ledger):
    write = await in_doubt(ledger)
    for _ in range(2):
        await write(*DEFERRED)
    [row] = await rows(ledger)
    assert (row.state, row.due_at, row.in_doubt) == ("deferred", LATER, 0)


async def test_an_answer_that_is_none_settles_nothing(ledger):
    write = await in_doubt(ledger)
    await write(*UNKNOWN)
    [row], [attempt] = await rows(ledger), await attempt_rows(ledger)
    assert (row.state, row.in_doubt, attempt.verdict) == ("deferred", 1, "unknown")


async def test_another_run_that_has_it_and_has_not_begun_does_not_send_it(ledger):
    write = await in_doubt(ledger)
    batch, [again] = await taken(ledger)
    assert await write(*TAKEN)
    assert await Recorder(ledger).begin(AttemptStarted(again.id, batch, "email", "smtp", None)) == 0
    assert [row.state for row in await rows(ledger)] == ["sent"]


@pytest.mark.parametrize("answer", [REFUSED, DEFERRED])
async def test_another_run_that_has_it_sends_it_though_it_was_not_taken(ledger, answer):
    write = await in_doubt(ledger)
    await taken(ledger)
    assert not await write(*answer)
    [row], [attempt] = await rows(ledger), await attempt_rows(ledger)
    assert (row.state, attempt.verdict) == ("claimed", "unknown")


async def test_begun_again_it_stays_in_doubt(ledger):
    write = await in_doubt(ledger)
    batch, [again] = await taken(ledger)
    await Recorder(ledger).begin(AttemptStarted(again.id, batch, "email", "smtp", None))
    await Recorder(ledger).finish(AttemptFinished(again.id, batch, Decision(State.DEFERRED, "later", LATER)))
    assert not await write(*TAKEN)
    [row], [first, _] = await rows(ledger), await attempt_rows(ledger)
    assert (row.state, row.in_doubt, first.verdict) == ("deferred", 1, "unknown")


async def test_put_off_without_an_attempt_it_is_settled(ledger):
    write = await in_doubt(ledger)
    batch, [again] = await taken(ledger)
    await Recorder(ledger).finish(
        AttemptFinished(again.id, batch, Decision(State.DEFERRED, "no provider", LATER))
    )
    assert await write(*TAKEN)
    [row] = await rows(ledger)
    assert (row.state, row.in_doubt) == ("sent", 0)


async def test_expired_meanwhile_it_is_sent_all_the_same(ledger):
    write = await in_doubt(ledger)
    await change(ledger, expires_at=LONG_AGO)
    assert await reserved(ledger) is None
    assert await write(*TAKEN)
    assert [row.state for row in await rows(ledger)] == ["sent"]


async def test_cancelled_meanwhile_it_stays_cancelled(ledger):
    write = await in_doubt(ledger)
    await retry_cancel.cancel(ledger, Filter())
    assert not await write(*TAKEN)
    assert [row.state for row in await rows(ledger)] == ["cancelled"]


async def test_the_items_of_a_digest_share_what_its_late_answer_says(ledger):
    batch = await bundled(ledger, "a", "b")
    [one] = (await claims.take_up(ledger, "digest", batch)).notifications
    begin = AttemptStarted(one.id, batch, "email", "smtp", None)
    await Recorder(ledger).begin(begin)
    await lost(ledger, {"digest": replace(DIGEST, when_in_doubt=Doubt.DROP)})
    outcome, decision = TAKEN
    assert await Recorder(ledger).finish(AttemptFinished(one.id, batch, decision, 0, begin.id, outcome))
    assert [row.state for row in await rows(ledger)] == ["sent"] * 3


async def test_a_late_answer_begins_the_next_message_of_its_connection(ledger):
    batch, [one, other] = await claimed(ledger, 2)
    begin = AttemptStarted(one.id, batch, "email", "smtp", None)
    await Recorder(ledger).begin(begin)
    await lost(ledger)
    outcome, decision = TAKEN
    ended = AttemptFinished(one.id, batch, decision, 0, begin.id, outcome)
    following = AttemptStarted(other.id, batch, "email", "smtp", None)
    assert await Recorder(ledger).begin(following, after=ended) == 0, "that is no longer this run's"
    assert sorted(row.state for row in await rows(ledger)) == ["accepted", "sent"]
