"""A person steps in: what is theirs to move moves, all else is left and counted."""

import asyncio
import re
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from support.ledger import DIGEST, LONG_AGO, accepted, ask, bundled, change, claimed, compose, reserved, rows
from support.ledger import NOTE as NOTE_TYPE
from support.plans import plans_of, statements_of

from waypost.ledger.database.tables import events, notifications
from waypost.ledger.intake import accept
from waypost.ledger.operations.retry_cancel import (
    CANCELLED,
    RETRIED,
    Selection,
    cancel,
    not_cancelled,
    not_retried,
    preview,
    retry,
    unknown,
)
from waypost.ledger.operations.search import Filter
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.digests import bundle
from waypost.ledger.queue.recorder import Recorder
from waypost.model.states import State, may_become
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
ALL = Filter()
DEADLINES = {"note": timedelta(hours=1), "digest": timedelta(hours=2)}
LEFT_BY_RETRY = partial(not_retried, deadlines=DEADLINES)


async def in_state(ledger, state, **more):
    """One note in `state`."""
    await accepted(ledger)
    ended = LONG_AGO if state in {"sent", "suppressed", "expired", "failed", "cancelled"} else None
    await change(ledger, state=state, finished_at=ended, **more)


@pytest.mark.parametrize("state", State)
async def test_only_what_failed_or_waits_is_retried(ledger, state):
    await in_state(ledger, state, reason="why", step=2, in_doubt=1, expires_at=LONG_AGO, due_at=LONG_AGO)
    before = now()
    done = await retry(ledger, ALL, DEADLINES)
    [row] = await rows(ledger)
    if state not in RETRIED:
        assert (row.state, row.reason, done.total()) == (state, "why", 0)
        return
    assert (row.state, row.reason, row.finished_at, row.step, row.in_doubt) == ("accepted", "", None, 0, 1)
    assert before <= row.due_at == row.expires_at - timedelta(hours=1)
    assert done == {state: 1}


@pytest.mark.parametrize("state", State)
async def test_only_what_has_not_gone_is_cancelled(ledger, state):
    await in_state(ledger, state, reason="why")
    done = await cancel(ledger, ALL)
    [row] = await rows(ledger)
    if state in CANCELLED:
        assert (row.state, row.reason, done) == ("cancelled", "cancelled by a person", {state: 1})
        assert row.finished_at is not None
    else:
        assert (row.state, row.reason, done.total()) == (state, "why", 0)


def test_both_move_as_the_table_of_states_allows():
    assert all(may_become(state, State.ACCEPTED) for state in RETRIED)
    assert all(may_become(state, State.CANCELLED) for state in CANCELLED)


async def test_what_waits_for_a_digest_is_not_retried_but_can_be_cancelled(ledger):
    await accept.accept(ledger, NOTE_TYPE, [ask(digest=True)])
    assert await preview(ledger, ALL, LEFT_BY_RETRY) == [Selection("held", 1, "waiting for its digest")]
    assert (await retry(ledger, ALL, DEADLINES)).total() == 0
    assert await cancel(ledger, ALL) == {State.HELD: 1}


async def test_what_waits_for_its_time_is_told_from_what_waits_for_a_run(ledger):
    await accepted(ledger)
    await accept.accept(ledger, NOTE_TYPE, [ask("later", deliver_at=now() + timedelta(minutes=9))])
    assert await preview(ledger, ALL, LEFT_BY_RETRY) == [
        Selection("accepted", 1, "already waiting for a run"),
        Selection("accepted", 1, "not due yet"),
    ]


@pytest.mark.parametrize("state", ["failed", "expired"])
async def test_a_retried_digest_takes_its_items_along(ledger, state):
    batch = await bundled(ledger, "a", "b")
    [digest] = (await claims.take_up(ledger, "digest", batch)).notifications
    await Recorder(ledger).finish(AttemptFinished(digest.id, batch, Decision(State(state), "refused")))
    assert await preview(ledger, ALL, LEFT_BY_RETRY) == [
        Selection(state, 1),
        Selection(state, 2, "part of a digest; retry the digest"),
    ]
    assert await retry(ledger, ALL, DEADLINES) == {state: 1}
    found = {(row.type, row.state, row.reason, row.finished_at) for row in await rows(ledger)}
    assert found == {("digest", "accepted", "", None), ("note", "claimed", "", None)}


async def test_a_cancelled_digest_takes_its_items_along_and_they_cannot_go_alone(ledger):
    await bundled(ledger, "a", "b")
    items = tuple(row.id for row in await rows(ledger) if row.type == "note")
    assert (await cancel(ledger, Filter(ids=items))).total() == 0
    assert await cancel(ledger, ALL) == {State.CLAIMED: 1}
    assert {(row.state, row.reason) for row in await rows(ledger)} == {("cancelled", "cancelled by a person")}


async def test_what_was_withdrawn_is_in_no_digest(ledger):
    await accept.accept(ledger, NOTE_TYPE, [ask("a", digest=True)])
    await cancel(ledger, ALL)
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 0


async def test_the_timeline_says_who_and_what_it_was(ledger):
    await in_state(ledger, "failed", reason="refused")
    await retry(ledger, ALL, DEADLINES)
    await cancel(ledger, ALL)
    assert sorted(((row.what, row.detail) for row in await rows(ledger, events)), reverse=True) == [
        ("retried", "by a person; it was failed: refused"),
        ("failed", "refused"),
        ("cancelled", "by a person; it was accepted"),
    ]


async def test_weighing_says_why_each_would_be_left(ledger):
    for state in ("sent", "sending", "failed", "beyond"):
        await accepted(ledger)
        newest = sa.select(sa.func.max(notifications.c.accepted_at)).scalar_subquery()
        update = sa.update(notifications).where(notifications.c.accepted_at == newest).values(state=state)
        await ledger.write(lambda connection, update=update: connection.execute(update))
    assert await preview(ledger, ALL, not_cancelled) == [
        Selection("beyond", 1, "in an unknown state"),
        Selection("failed", 1, "already ended"),
        Selection("sending", 1, "on the wire, so it cannot be cancelled"),
        Selection("sent", 1, "already sent"),
    ]


async def test_a_type_that_is_gone_from_flows_is_left(ledger):
    await in_state(ledger, "failed")
    assert [one.left for one in await preview(ledger, ALL, partial(not_retried, deadlines={}))] == [
        "of a type that is not in flows/"
    ]
    assert (await retry(ledger, ALL, {})).total() == 0


async def test_only_what_the_filter_means_is_touched(ledger):
    one, two, three = [receipt.id for receipt in await accepted(ledger, 3)]
    assert (await cancel(ledger, Filter(ids=(one, two), type="other"))).total() == 0
    assert await cancel(ledger, Filter(ids=(one, two))) == {State.ACCEPTED: 2}
    assert (await retry(ledger, Filter(states=(State.FAILED,)), DEADLINES)).total() == 0
    assert await unknown(ledger, [three, missing := new_id()]) == [missing]


async def test_many_go_in_parts_and_tell_how_far_they_are(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.operations.retry_cancel.AT_ONCE", 4)
    await accepted(ledger, 10)
    told = []
    assert await cancel(ledger, ALL, told.append) == {State.ACCEPTED: 10}
    assert told == [4, 8, 10]


async def test_a_run_does_not_send_what_was_cancelled_under_it(ledger):
    batch, [one, other] = await claimed(ledger, 2)
    recorder = Recorder(ledger)
    await recorder.begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    assert await cancel(ledger, ALL) == {State.CLAIMED: 1}
    assert await recorder.begin(AttemptStarted(other.id, batch, "email", "smtp", None)) == 0
    assert await recorder.finish(AttemptFinished(one.id, batch, Decision(State.SENT)))


async def test_a_cancel_while_runs_claim_and_begin_ends_each_once(ledger):
    await accepted(ledger, 40)
    recorder = Recorder(ledger)

    async def run():
        while claim := await reserved(ledger, limit=5):
            for one in (await claims.take_up(ledger, "note", claim.id)).notifications:
                if await recorder.begin(AttemptStarted(one.id, claim.id, "email", "smtp", None)):
                    await recorder.finish(AttemptFinished(one.id, claim.id, Decision(State.SENT)))

    done, *_ = await asyncio.gather(cancel(ledger, ALL), *(run() for _ in range(3)))
    states = [row.state for row in await rows(ledger)]
    assert set(states) <= {"sent", "cancelled"}
    assert states.count("cancelled") == done.total() == len(await rows(ledger, events))


async def test_two_people_at_once_retry_each_once(ledger):
    await accepted(ledger, 30)
    await change(ledger, state="failed", finished_at=LONG_AGO)
    done = await asyncio.gather(*(retry(ledger, ALL, DEADLINES) for _ in range(3)))
    noted = [row.what for row in await rows(ledger, events)]
    assert sum(one.total() for one in done) == 30 == noted.count("retried") == noted.count("failed")


@pytest.mark.parametrize("act", [cancel, partial(retry, deadlines=DEADLINES)], ids=["cancel", "retry"])
@pytest.mark.parametrize(
    "wanted", [{"tag": "spring"}, {"recipient": ("r0", "mailto:r0@a.example"), "clients": ("shop",)}]
)
async def test_a_tag_or_a_recipient_selects_and_goes_by_an_index(ledger, act, wanted):
    [meant] = await accepted(ledger, 1, tags=["spring"])
    requests = [ask(to=f"s{number}", tags=["autumn"]) for number in range(3)]
    await accept.accept(ledger, NOTE_TYPE, requests)
    await change(ledger, state="held", reason="in doubt")
    seen = statements_of(ledger)
    assert (await act(ledger, Filter(**wanted))).total() == 1
    asked = [one for one in seen if one[0].startswith("SELECT")]
    assert [row.id for row in await rows(ledger) if row.state != "held"] == [meant.id]
    for _, plan in await plans_of(ledger, asked):
        assert not re.search(r"Seq Scan on notifications|SCAN notifications\b", plan), plan
