"""Explaining one notification: everything that happened to it, in order."""

import re
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from support.ledger import LONG_AGO, NOTE, accepted, ask, bundled, change, claimed, lost, rows, run_sql, taken

from waypost.ledger.database.tables import attempts, notifications
from waypost.ledger.database.tables import batches as batches_table
from waypost.ledger.intake import accept
from waypost.ledger.operations.retry_cancel import cancel, retry
from waypost.ledger.operations.search import Filter
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import batches, claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.holds import hold, release
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy import classify
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
REFUSED = Outcome(Verdict.REFUSED, Phase.RCPT, 550, "5.1.1", "no someone@a.example here")


async def attempt(ledger, batch, id, decision, outcome=REFUSED, run=None, channel="email"):
    recorder, begin = Recorder(ledger), AttemptStarted(id, batch, channel, "smtp", run)
    await recorder.begin(begin)
    await recorder.finish(AttemptFinished(id, batch, decision, 0, begin.id, outcome))


async def told(ledger, id):
    """The timeline as pairs, without when."""
    found = await explain(ledger, id)
    assert found is not None
    return [(line.what, line.detail) for line in found.timeline]


async def whats(ledger, id):
    return [what for what, _ in await told(ledger, id)]


async def test_there_is_nothing_to_tell_of_what_never_was(ledger):
    assert await explain(ledger, uuid4()) is None


async def test_a_whole_life_in_order_with_addresses_masked(ledger):
    batch, [one] = await claimed(ledger)
    await attempt(ledger, batch, one.id, Decision(State.SENDING))
    await attempt(ledger, batch, one.id, Decision(State.FAILED, "refused by someone@a.example"))
    story = await told(ledger, one.id)
    assert [what for what, _ in story] == [
        "accepted", "claimed", "started by its run", "attempt 1 started", "attempt 1 refused",
        "attempt 2 started", "attempt 2 refused", "failed",
    ]  # fmt: skip
    assert story[4][1] == "550 5.1.1 no s***e@a.example here (at rcpt)"
    assert story[-1][1] == "refused by s***e@a.example"
    found = await explain(ledger, one.id)
    assert (found.recipient, [a.number for a in found.attempts]) == ("r0 ***@a.example", [1, 2])


@pytest.mark.parametrize(
    ("channel", "outcome", "said"),
    [
        ("email", Outcome(Verdict.ACCEPTED, Phase.DOT, 250, "2.0.0", "queued"), "250 2.0.0 queued (at dot)"),
        ("email", Outcome(Verdict.ACCEPTED, Phase.DOT, words="in the folder"), "in the folder"),
        (
            "email",
            Outcome(Verdict.DEFERRED, Phase.RCPT, words="connection lost"),
            "connection lost (before the message was sent)",
        ),
        (
            "email",
            Outcome(Verdict.DEFERRED, Phase.DATA, words="no space left"),
            "no space left (while the message was sent)",
        ),
        ("sms", Outcome(Verdict.ACCEPTED, Phase.DOT, words="accepted"), ""),
        ("sms", classify.http(200), "HTTP 200"),
        ("webhook", classify.http(410), "HTTP 410 (in response to the message)"),
        (
            "webhook",
            classify.lost(Phase.CONNECT, "stopped"),
            "stopped (before the message was sent)",
        ),
        (
            "push",
            classify.lost(Phase.DOT, "no response within 60 s"),
            "no response within 60 s (it may have arrived)",
        ),
    ],
)
async def test_how_far_an_attempt_came_is_told_in_words_of_its_channel(ledger, channel, outcome, said):
    batch, [one] = await claimed(ledger)
    await attempt(ledger, batch, one.id, Decision(State.FAILED), outcome, channel=channel)
    assert (await told(ledger, one.id))[4][1] == said


async def test_lines_lead_to_their_batch_and_run(ledger):
    await accepted(ledger)
    run, claim = new_id(), await claims.reserve(ledger, "note", NOTE.lane)
    [one] = (await claims.take_up(ledger, "note", claim.id, flow_run_id=run)).notifications
    await attempt(ledger, claim.id, one.id, Decision(State.SENT), run=run)
    lines = (await explain(ledger, one.id)).timeline
    assert {(line.batch, line.run) for line in lines if line.what not in ("accepted", "sent")} == {
        (claim.id, run)
    }


async def test_a_lost_run_can_be_looked_at(ledger):
    await accepted(ledger)
    run, claim = new_id(), await claims.reserve(ledger, "note", NOTE.lane)
    [one] = (await claims.take_up(ledger, "note", claim.id, flow_run_id=run)).notifications
    await lost(ledger)
    [line] = [line for line in (await explain(ledger, one.id)).timeline if line.what == "run lost"]
    assert (line.batch, line.run) == (claim.id, run)


async def test_an_attempt_without_an_answer_says_so(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    story = await told(ledger, one.id)
    assert story[-2] == (
        "attempt 1 started",
        "email through smtp; no outcome recorded yet; it is on the wire, or in doubt",
    )
    assert story[-1][0] == "sending"
    assert story[-1][1].startswith(f"claimed by a run at {batches.owner()}, renewed 0 s ago, lease until")


async def test_a_lost_run_leaves_its_attempt_in_doubt_and_the_next_one_is_told_after_it(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await lost(ledger)
    await change(ledger, due_at=now())
    again, _ = await taken(ledger)
    await attempt(ledger, again, one.id, Decision(State.SENT), Outcome(Verdict.ACCEPTED, Phase.DOT))
    story = await whats(ledger, one.id)
    assert set(story[4:6]) == {"attempt 1 in doubt", "run lost"}
    assert story[6:] == [
        "claimed", "started by its run", "attempt 2 started", "attempt 2 accepted", "sent",
    ]  # fmt: skip


async def test_a_run_lost_before_it_sent_anything(ledger):
    await accepted(ledger)
    claim = await claims.reserve(ledger, "note", NOTE.lane)
    [row] = await rows(ledger)
    await batches.end(ledger, claim.id, BatchResult.LOST)
    story = await told(ledger, row.id)
    assert story[:-1] == [
        ("accepted", ""),
        ("claimed", f"in a batch of 1, by {batches.owner()}"),
        ("run lost", "nothing had been sent"),
    ]
    assert story[-1] == ("due", f"since {row.due_at:%Y-%m-%d %H:%M:%S} UTC; waits for a run")


async def test_what_was_sent_without_prefect_says_so(ledger):
    batch, [one] = await claimed(ledger)
    await attempt(ledger, batch, one.id, Decision(State.SENT), Outcome(Verdict.ACCEPTED, Phase.DOT))
    await batches.end(ledger, batch, BatchResult.DIRECT, "1 sent")
    assert ("sent without Prefect", "Prefect did not respond, so no run shows it: 1 sent") in await told(
        ledger, one.id
    )


@pytest.mark.parametrize(
    ("state", "reason", "line"),
    [
        ("deferred", "451 later", ("next try", "451 later")),
        ("accepted", "", ("due", "waits until then")),
        ("held", "digest", ("held", "waits for its digest")),
        ("held", "in doubt; a person decides", ("held", "in doubt; a person decides")),
        ("beyond", "why", ("beyond", "unknown state; why")),
    ],
)
async def test_what_it_waits_for_comes_last(ledger, state, reason, line):
    [receipt] = await accepted(ledger)
    await change(ledger, state=state, reason=reason, due_at=now() + timedelta(hours=1))
    assert (await told(ledger, receipt.id))[-1] == line


@pytest.mark.parametrize(
    ("state", "reason", "line"),
    [
        ("deferred", "451 later", "due again since 2020-01-01 00:00:00 UTC; waits for a run; 451 later"),
        ("accepted", "", "due since 2020-01-01 00:00:00 UTC; waits for a run"),
    ],
)
async def test_what_is_due_says_since_when_and_what_it_waits_for(ledger, state, reason, line):
    [receipt] = await accepted(ledger)
    await change(ledger, state=state, reason=reason, due_at=LONG_AGO)
    assert " ".join((await told(ledger, receipt.id))[-1]) == line
    assert (await explain(ledger, receipt.id)).timeline[-1].at is None
    await hold(ledger, "note")
    assert "; waits until its type is released" in (await told(ledger, receipt.id))[-1][1]


async def test_whose_hands_it_is_in_and_whether_they_give_signs_of_life(ledger):
    await accepted(ledger)
    claim = await claims.reserve(ledger, "note", NOTE.lane)
    [row] = await rows(ledger)
    await change(ledger, batches_table, owner="host:1")
    assert (await told(ledger, row.id))[-1][1].startswith("reserved for a run by host:1, renewed 0 s ago")
    await claims.take_up(ledger, "note", claim.id)
    assert (await told(ledger, row.id))[-1][1].startswith(f"claimed by a run at {batches.owner()}, renewed")
    assert ("started by its run", f"by {batches.owner()}") in await told(ledger, row.id)


async def test_how_long_the_last_sign_of_life_is_ago_and_when_there_will_be_no_other(ledger):
    _, [one] = await claimed(ledger)
    await change(ledger, batches_table, leased_until=now() + ledger.lease - timedelta(seconds=4))
    found = await explain(ledger, one.id)
    assert (found.lease.lapsed, found.lease.taken, found.lease.owner) == (False, True, batches.owner())
    assert found.lease.leased_until - found.lease.renewed_at == ledger.lease
    assert re.search(r", renewed ([4-9]|1\d) s ago, lease until ", found.timeline[-1].detail)
    await change(ledger, batches_table, leased_until=LONG_AGO)
    found = await explain(ledger, one.id)
    assert found.lease.lapsed
    assert "which sends no heartbeat: its lease lapsed" in found.timeline[-1].detail
    assert "at 2020-01-01 00:00:00 UTC; a reaper in any worker reclaims it" in found.timeline[-1].detail
    await lost(ledger)
    assert (await explain(ledger, one.id)).lease is None


async def test_what_happened_at_one_moment_is_told_in_the_order_it_can_have(ledger):
    for decision in (Decision(State.DEFERRED, "451 later", due=LONG_AGO), Decision(State.SENT)):
        batch, [one] = await claimed(ledger) if decision.state is State.DEFERRED else await taken(ledger)
        await attempt(ledger, batch, one.id, decision)
    moments = (
        (notifications, ("accepted_at", "finished_at")), (batches_table, ("created_at", "taken_at")),
        (attempts, ("started_at", "finished_at")),
    )  # fmt: skip
    for table, columns in moments:
        await change(ledger, table, **dict.fromkeys(columns, LONG_AGO))
    assert await whats(ledger, one.id) == [
        "accepted",
        "claimed", "started by its run", "attempt 1 started", "attempt 1 refused",
        "claimed", "started by its run", "attempt 2 started", "attempt 2 refused",
        "sent",
    ]  # fmt: skip


async def test_what_people_did_stands_in_between(ledger):
    batch, [one] = await claimed(ledger)
    await attempt(ledger, batch, one.id, Decision(State.FAILED, "refused"))
    await retry(ledger, Filter(), {"note": timedelta(hours=1)})
    await cancel(ledger, Filter())
    assert (await told(ledger, one.id))[-2:] == [
        ("retried", "by a person; it was failed: refused"),
        ("cancelled", "by a person; it was accepted"),
    ]


async def test_a_held_type_is_told_until_the_notification_has_ended(ledger):
    _, [one] = await claimed(ledger)
    await hold(ledger, "note", "wrong price")
    found = await explain(ledger, one.id)
    assert ("its type was held", "wrong price") in await told(ledger, one.id)
    assert (isinstance(found.held_since, datetime), found.held_because) == (True, "wrong price")
    await cancel(ledger, Filter())
    assert "its type was held" not in await whats(ledger, one.id)


async def test_holds_that_are_over_are_told_by_what_waited_for_them(ledger):
    [before] = await accepted(ledger)
    await hold(ledger, "note", "wrong price")
    [while_held] = await accept.accept(ledger, NOTE, [ask(to="late")])
    await release(ledger, "note")
    [after] = await accept.accept(ledger, NOTE, [ask(to="after")])
    await taken(ledger)
    for one in (before, while_held):
        assert (await told(ledger, one.id))[:4] == [
            ("accepted", ""), ("its type was held", "wrong price"), ("its type was released", ""),
            ("claimed", "in a batch of 3"),
        ]  # fmt: skip
    assert (await whats(ledger, after.id))[:2] == ["accepted", "claimed"]


async def test_what_was_on_the_wire_when_its_type_was_held_did_not_wait(ledger):
    batch, [one] = await claimed(ledger)
    recorder, begin = Recorder(ledger), AttemptStarted(one.id, batch, "email", "smtp", None)
    await recorder.begin(begin)
    await hold(ledger, "note")
    await recorder.finish(AttemptFinished(one.id, batch, Decision(State.SENT), 0, begin.id, REFUSED))
    await release(ledger, "note")
    assert "its type was held" not in await whats(ledger, one.id)


async def test_what_expired_or_was_cancelled_while_its_type_was_held_says_that_it_was(ledger):
    [one] = await accepted(ledger)
    await hold(ledger, "note", "first")
    await hold(ledger, "note", "wrong price")
    await cancel(ledger, Filter())
    await release(ledger, "note")
    await hold(ledger, "note", "much later")
    await release(ledger, "note")
    held = [line for line in await told(ledger, one.id) if "its type" in line[0]]
    assert held == [("its type was held", "wrong price"), ("its type was released", "")]
    in_order = [line[0] for line in await told(ledger, one.id)][-2:]
    assert in_order == ["cancelled", "its type was released"]


async def test_an_item_tells_of_its_digest_and_what_became_of_that(ledger):
    batch = await bundled(ledger, "a")
    [digest] = (await claims.take_up(ledger, "digest", batch)).notifications
    await attempt(ledger, batch, digest.id, Decision(State.SENT), Outcome(Verdict.ACCEPTED, Phase.DOT))
    [item] = [row for row in await rows(ledger) if row.type == "note"]
    story = await told(ledger, item.id)
    assert ("added to a digest", f"{digest.id}: sent") in story
    assert [what for what, _ in story][-3:] == ["attempt 1 started", "attempt 1 accepted", "sent"]


async def test_a_batch_older_than_what_its_run_brought_comes_after_it(ledger):
    run = new_id()
    await batches.open_for_run(ledger, NOTE, run)
    batch, _ = await accept.accept_for_run(ledger, NOTE, [ask()], run)
    [one] = (await claims.take_up(ledger, "note", batch, flow_run_id=run)).notifications
    assert (await whats(ledger, one.id))[:2] == ["accepted", "claimed"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE notifications SET state = 'beyond', data = '{broken', due_at = 'soon'",
        "UPDATE notifications SET accepted_at = 'once', finished_at = 7, expires_at = x'ff'",
        "UPDATE notifications SET batch_id = 'none', intake_id = 'none', reason = CAST(x'ff' AS TEXT)",
        "UPDATE attempts SET started_at = 'then', number = 'x', flow_run_id = 'run', verdict = 'perhaps'",
        "UPDATE attempts SET code = 'much', words = x'ff41', finished_at = ''",
        "UPDATE batches SET leased_until = 'when', owner = x'ff', ended_at = NULL",
        "UPDATE batches SET created_at = 'then', taken_at = 'now', flow_run_id = '?', ending = 'odd'",
        "UPDATE recipients SET email = x'ff', phone = 12",
    ],
)
async def test_what_cannot_be_read_stands_as_it_is(ledger, spoil):
    batch, [one] = await claimed(ledger)
    await attempt(ledger, batch, one.id, Decision(State.FAILED, "refused"))
    await run_sql(ledger, spoil)
    assert len(await told(ledger, one.id)) == 6


async def test_as_many_looks_for_a_long_life_as_for_a_short_one(ledger):
    batch, [one, other] = await claimed(ledger, 2)
    for _ in range(20):
        await attempt(ledger, batch, one.id, Decision(State.SENDING))
    engine, asked = getattr(ledger.engine, "sync_engine", ledger.engine), []

    def count(_connection, _cursor, statement, *_):
        asked.append(statement.startswith("SELECT"))

    sa.event.listen(engine, "before_cursor_execute", count)
    await explain(ledger, one.id)
    long, asked[:] = sum(asked), []
    await explain(ledger, other.id)
    assert long == sum(asked) == 5
