"""Writing down what happened: before the wire, and before the next message."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.ledger import NOTE, accepted, attempt_rows, change, claimed, lost, rows, run_sql
from support.plans import plans_of, statements_of

from waypost import Doubt
from waypost.ledger import NotRecorded
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.isolation import ItemFailed

pytestmark = pytest.mark.anyio
TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250, enhanced="2.0.0", words="queued as 42")


def begin(notification, batch):
    return AttemptStarted(notification.id, batch, "email", "smtp", None)


async def test_an_attempt_is_a_row_without_an_answer_first(ledger):
    batch, [one] = await claimed(ledger)
    assert await Recorder(ledger).begin(begin(one, batch)) == 1
    [attempt] = await attempt_rows(ledger)
    [row] = await rows(ledger)
    assert (attempt.number, attempt.finished_at, row.state, row.tries) == (1, None, "sending", 1)


async def test_the_answer_is_kept_in_the_providers_own_words(ledger):
    batch, [one] = await claimed(ledger)
    recorder, started = Recorder(ledger), begin(one, batch)
    await recorder.begin(started)
    await recorder.finish(
        AttemptFinished(one.id, batch, Decision(State.SENT), attempt=started.id, outcome=TAKEN)
    )
    [attempt] = await attempt_rows(ledger)
    [row] = await rows(ledger)
    assert (attempt.code, attempt.enhanced, attempt.words) == (250, "2.0.0", "queued as 42")
    assert (row.state, row.finished_at is not None) == ("sent", True)


async def test_a_refusal_with_another_step_to_take_changes_only_the_attempt(ledger):
    batch, [one] = await claimed(ledger)
    recorder, started = Recorder(ledger), begin(one, batch)
    await recorder.begin(started)
    refused = Outcome(Verdict.REFUSED, Phase.RCPT, code=550)
    await recorder.finish(
        AttemptFinished(one.id, batch, Decision(State.SENDING), attempt=started.id, outcome=refused)
    )
    assert await recorder.begin(begin(one, batch)) == 2
    [row] = await rows(ledger)
    assert (row.state, [a.verdict for a in await attempt_rows(ledger)]) == ("sending", ["refused", None])


async def test_a_deferral_says_when_and_why(ledger):
    batch, [one] = await claimed(ledger)
    due = now() + timedelta(minutes=3)
    await Recorder(ledger).finish(
        AttemptFinished(one.id, batch, Decision(State.DEFERRED, "later", due), step=1)
    )
    [row] = await rows(ledger)
    assert (row.state, row.reason, row.due_at, row.step) == ("deferred", "later", due, 1)


async def test_what_was_cancelled_meanwhile_is_not_sent(ledger):
    batch, [one] = await claimed(ledger)
    await change(ledger, state="cancelled")
    assert await Recorder(ledger).begin(begin(one, batch)) == 0
    assert await attempt_rows(ledger) == []


async def test_a_terminal_state_is_never_left(ledger):
    batch, [one] = await claimed(ledger)
    await change(ledger, state="sent")
    assert not await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State.FAILED, "no")))
    [row] = await rows(ledger)
    assert row.state == "sent"


async def test_many_at_once_each_get_their_own_answer(ledger):
    batch, many = await claimed(ledger, 60)
    recorder = Recorder(ledger)

    async def send(number, one):
        started = begin(one, batch)
        assert await recorder.begin(started) == 1
        words = Outcome(Verdict.ACCEPTED, Phase.DOT, words=f"queued {number}")
        await recorder.finish(
            AttemptFinished(one.id, batch, Decision(State.SENT), attempt=started.id, outcome=words)
        )

    await asyncio.gather(*(send(number, one) for number, one in enumerate(many)))
    said = {attempt.notification_id: attempt.words for attempt in await attempt_rows(ledger)}
    assert said == {one.id: f"queued {number}" for number, one in enumerate(many)}


async def test_connections_share_commits(ledger):
    batch, many = await claimed(ledger, 60)
    commits = 0

    def count(_connection):
        nonlocal commits
        commits += 1

    sa.event.listen(getattr(ledger.engine, "sync_engine", ledger.engine), "commit", count)
    recorder = Recorder(ledger)
    await asyncio.gather(*(recorder.begin(begin(one, batch)) for one in many))
    assert commits <= 20  # and not 60: how many fall together is the machine's


async def test_what_cannot_be_written_is_waited_for_and_nobody_goes_on_meanwhile(ledger):
    batch, many = await claimed(ledger, 3)
    await run_sql(ledger, "ALTER TABLE attempts RENAME TO elsewhere")
    recorder = Recorder(ledger)
    waiting = [recorder.begin(begin(one, batch)) for one in many]
    await asyncio.sleep(0.4)
    assert not any(task.done() for task in waiting)
    assert ledger.waiting_since is not None
    await run_sql(ledger, "ALTER TABLE elsewhere RENAME TO attempts")
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert ledger.waiting_since is None


async def test_waiting_can_be_given_up_and_then_nobody_may_send(ledger):
    batch, many = await claimed(ledger, 2)
    await run_sql(ledger, "ALTER TABLE attempts RENAME TO elsewhere")
    try:
        ledger.give_up()
        tries = [Recorder(ledger).begin(begin(one, batch)) for one in many]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(answer) for answer in answers] == [NotRecorded] * 2
    finally:
        await run_sql(ledger, "ALTER TABLE elsewhere RENAME TO attempts")


async def test_what_the_ledger_can_never_take_fails_alone(ledger):
    batch, [one, other] = await claimed(ledger, 2)
    recorder, first = Recorder(ledger), begin(one, batch)
    await recorder.begin(first)
    same_row_twice = replace(begin(other, batch), id=first.id)
    odd, good = await asyncio.gather(
        recorder.begin(same_row_twice),
        recorder.finish(AttemptFinished(one.id, batch, Decision(State.SENT))),
        return_exceptions=True,
    )
    assert (type(odd), good) == (ItemFailed, True)


@pytest.fixture
def losing_an_answer(ledger, monkeypatch):
    """The connection dies after the next commit: the write is repeated. In between, `meanwhile` is done."""

    def lose(meanwhile=None):
        write, failed = ledger.write, []

        async def losing(work):
            answer = await write(work)
            if not failed:
                failed.append(answer)
                monkeypatch.setattr(ledger, "write", write)
                if meanwhile:
                    await meanwhile()
                raise ConnectionResetError
            return answer

        monkeypatch.setattr(ledger, "write", losing)
        return failed

    return lose


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(ledger, losing_an_answer):
    batch, [one] = await claimed(ledger)
    failed = losing_an_answer()
    assert await Recorder(ledger).begin(begin(one, batch)) == 1
    [attempt] = await attempt_rows(ledger)
    [row] = await rows(ledger)
    assert (len(failed), attempt.number, row.tries) == (1, 1, 1)


@pytest.mark.parametrize("doubt", Doubt)
async def test_an_attempt_whose_batch_was_taken_back_before_it_is_repeated_is_not_made(
    ledger, losing_an_answer, doubt
):
    batch, [one] = await claimed(ledger)
    losing_an_answer(lambda: lost(ledger, {"note": replace(NOTE, when_in_doubt=doubt)}))
    assert await Recorder(ledger).begin(begin(one, batch)) == 0
    [attempt] = await attempt_rows(ledger)
    assert (attempt.verdict, len(await rows(ledger))) == ("unknown", 1)


async def test_what_is_recorded_is_found_by_its_key_however_large_its_batch(ledger):
    """Not by its batch: to go through all of that for each few of it is its size squared."""
    batch, [one] = await claimed(ledger)
    # Of a table with a row or two PostgreSQL takes any index.
    await accepted(ledger, 300)
    await run_sql(ledger, "ANALYZE")
    seen = statements_of(ledger)
    recorder, started = Recorder(ledger), begin(one, batch)
    await recorder.begin(started)
    await recorder.finish(
        AttemptFinished(one.id, batch, Decision(State.SENT), attempt=started.id, outcome=TAKEN, digest=False)
    )
    told = [one for one in seen if one[0].startswith("UPDATE notifications")]
    assert len(told) == 2
    for _, plan in await plans_of(ledger, told):
        assert "in_hand" not in plan
        assert "pk_notifications" in plan or "sqlite_autoindex_notifications" in plan


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_an_outcome_stays_on_the_page_of_its_attempt(ledger):
    """Else PostgreSQL writes both indexes of attempts again for each outcome."""
    batch, found = await claimed(ledger, 200)
    recorder, started = Recorder(ledger), [begin(one, batch) for one in found]
    await asyncio.gather(*map(recorder.begin, started))
    before = await pages_of_attempts(ledger)
    finishes = [
        AttemptFinished(one.notification_id, batch, Decision(State.SENT), attempt=one.id, outcome=TAKEN)
        for one in started
    ]
    await recorder.finish_all(finishes)
    assert len(set(before.values())) > 1
    assert await pages_of_attempts(ledger) == before


async def pages_of_attempts(ledger):
    """The number of the page that each attempt is on."""
    pages = sa.text("SELECT id, (ctid::text::point)[0] FROM attempts")
    return dict(tuple(row) for row in await ledger.read(lambda connection: connection.execute(pages).all()))


async def test_statements_are_built_once(ledger):
    """SQLAlchemy takes longer to build a statement than a database to run it over a few rows."""
    batch, found = await claimed(ledger, 16)
    recorder, told = Recorder(ledger), []

    def listen(_connection, statement, *_):
        told.append(statement)

    sa.event.listen(getattr(ledger.engine, "sync_engine", ledger.engine), "before_execute", listen)
    rounds = []
    for some in (found[:8], found[8:]):
        started = [begin(one, batch) for one in some]
        await asyncio.gather(*map(recorder.begin, started))
        await recorder.finish_all(
            [
                AttemptFinished(
                    *(one.notification_id, batch, Decision(State.SENT)),
                    attempt=one.id,
                    outcome=TAKEN,
                    digest=False,
                )
                for one in started
            ]
        )
        rounds.append([*told])
        told.clear()
    first, second = rounds
    assert [id(one) for one in second] == [id(one) for one in first]
    assert second
