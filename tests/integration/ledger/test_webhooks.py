"""Webhooks in the ledger: a trigger makes what they are to be told, and each event is one process's."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.ledger import (
    DIGEST,
    LONG_AGO,
    NOTE,
    accepted,
    ask,
    bundled,
    change,
    claimed,
    lost,
    reserved,
    rows,
    run_sql,
    taken,
)
from support.plans import plans_of, statements_of

from waypost.deployments.doctor.gateway import webhooks_finding
from waypost.ledger.database.tables import notifications
from waypost.ledger.database.tables import tags as tags_table
from waypost.ledger.database.tables import webhook_events as events_table
from waypost.ledger.intake import accept
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.retention import prune
from waypost.ledger.operations.retry_cancel import cancel, retry
from waypost.ledger.operations.search import Filter
from waypost.ledger.queue import claims, holds
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.records import webhook_outbox, webhooks
from waypost.ledger.records.webhook_outbox import Again
from waypost.ledger.records.webhooks import STATES, TooManyWebhooks, UnknownWebhook
from waypost.model.notification_type import Doubt
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio

URL = "https://shop.example/hook"
LEASE = timedelta(seconds=30)
KEY = b"a key of sixteen or more"


@pytest.fixture
async def hook(ledger):
    """A webhook of the shop, told of everything."""
    return await webhooks.create(ledger, KEY, "shop", URL, STATES)


async def of_the_shop(ledger, count=1):
    """Notes of the shop in the hands of a run."""
    requests = [ask(to=f"r{number}") for number in range(count)]
    await accept_all(ledger, [Candidate(NOTE, request, client="shop") for request in requests])
    return await taken(ledger)


async def told(ledger):
    return [(row.state, row.reason) for row in await rows(ledger, events_table)]


async def ended(ledger, state, reason="", due=None):
    """A note of the shop that a run ended so."""
    batch, [one] = await of_the_shop(ledger)
    await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State(state), reason, due)))
    return one


@pytest.mark.parametrize("state", ["sent", "deferred", "held", "suppressed", "expired", "failed"])
async def test_what_a_run_records_is_told(ledger, hook, state):
    due = now() + timedelta(minutes=3) if state == "deferred" else None
    if state == "sent":
        batch, [one] = await of_the_shop(ledger)
        await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
        await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State.SENT, "why")))
    else:
        one = await ended(ledger, state, "why", due)
    [row] = await rows(ledger, events_table)
    assert (row.webhook_id, row.notification_id, row.type) == (hook.id, one.id, "note")
    assert (row.state, row.reason, row.tries) == (state, "why", 0)
    assert abs(row.at - now()) < timedelta(seconds=10)
    assert row.at == row.due_at or row.due_at - row.at < timedelta(seconds=1)


async def test_what_expires_while_it_waits_is_told(ledger, hook):
    await accepted(ledger)
    await change(ledger, client="shop", expires_at=LONG_AGO)
    await reserved(ledger)
    [(state, _)] = await told(ledger)
    assert state == "expired"


async def test_what_is_cancelled_is_told_and_a_retry_is_not(ledger, hook):
    await accepted(ledger)
    await change(ledger, client="shop")
    await cancel(ledger, Filter())
    await retry(ledger, Filter(), {"note": timedelta(hours=1)})
    assert await told(ledger) == [("cancelled", "cancelled by a person")]


async def test_what_is_held_because_of_a_doubt_is_told(ledger, hook):
    batch, [one] = await of_the_shop(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await lost(ledger, {"note": replace(NOTE, when_in_doubt=Doubt.HOLD)})
    [(state, reason)] = await told(ledger)
    assert (state, "doubt" in reason) == ("held", True)


async def test_each_item_of_a_digest_is_told_with_it(ledger, hook):
    batch = await bundled(ledger, "a", "b")
    await change(ledger, notifications, notifications.c.type == "note", client="shop")
    [digest] = (await claims.take_up(ledger, DIGEST.name, batch)).notifications
    await Recorder(ledger).finish(AttemptFinished(digest.id, batch, Decision(State.FAILED, "refused")))
    found = await rows(ledger, events_table)
    items = {row.id for row in await rows(ledger) if row.type == "note"}
    assert {row.notification_id for row in found} == items
    assert [row.state for row in found] == ["failed", "failed"]


async def test_an_event_has_the_version_of_the_templates_of_its_last_attempt(ledger, hook):
    batch, [one, other] = await of_the_shop(ledger, 2)
    for version in ("0123456789ab", "ba9876543210"):
        begin = AttemptStarted(one.id, batch, "email", "smtp", None, template_version=version)
        await Recorder(ledger).begin(begin)
    await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State.FAILED, "refused")))
    await Recorder(ledger).finish(AttemptFinished(other.id, batch, Decision(State.EXPIRED)))
    events = (await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE)).events
    assert {event.state: event.template_version for event in events} == {
        "failed": "ba9876543210",
        "expired": None,
    }


async def test_the_event_of_an_item_has_the_version_of_its_digest(ledger, hook):
    batch = await bundled(ledger, "a")
    await change(ledger, notifications, notifications.c.type == "note", client="shop")
    [digest] = (await claims.take_up(ledger, DIGEST.name, batch)).notifications
    begin = AttemptStarted(digest.id, batch, "email", "smtp", None, template_version="v")
    await Recorder(ledger).begin(begin)
    await Recorder(ledger).finish(AttemptFinished(digest.id, batch, Decision(State.SENT)))
    [event] = (await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE)).events
    assert event.template_version == "v"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_damaged_version_is_told_as_it_stands(ledger, hook):
    batch, [one] = await of_the_shop(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await run_sql(ledger, "UPDATE attempts SET template_version = CAST(x'ff' AS TEXT)")
    await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State.SENT)))
    [event] = (await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE)).events
    assert event.template_version == "\ufffd"


async def test_only_the_states_asked_for_and_the_clients_own_are_told(ledger):
    await webhooks.create(ledger, KEY, "shop", URL, ["sent"])
    mine = await webhooks.create(ledger, KEY, "shop", URL, ["failed", "held"])
    await webhooks.create(ledger, KEY, "blog", URL, STATES)
    await ended(ledger, "failed")
    assert [row.webhook_id for row in await rows(ledger, events_table)] == [mine.id]


async def test_what_has_no_client_is_told_to_nobody(ledger, hook):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State.FAILED, "no")))
    assert await told(ledger) == []


async def test_what_is_undone_is_not_told(ledger, hook):
    await of_the_shop(ledger)

    def fails(connection):
        connection.execute(sa.update(notifications).values(state="failed"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ledger.write(fails)
    assert await told(ledger) == []


async def some(ledger, count):
    """So many events."""
    await of_the_shop(ledger, count)
    await change(ledger, state="failed")


async def test_two_who_claim_at_once_share_nothing(ledger, hook):
    await some(ledger, 40)
    assert await webhook_outbox.waiting(ledger) == [hook.id]
    asked = [webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE) for _ in range(8)]
    found = [one for one in await asyncio.gather(*asked) if one]
    got = [event.id for claim in found for event in claim.events]
    assert len(got) == len(set(got))
    while one := await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE):  # what was locked and skipped
        got += [event.id for event in one.events]
    assert len(got) == len(set(got)) == 40
    assert await webhook_outbox.waiting(ledger) == []


async def test_what_its_holder_does_not_settle_is_due_again(ledger, hook):
    await some(ledger, 2)
    claim = await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE)
    assert await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE) is None
    await change(ledger, events_table, due_at=LONG_AGO)
    again = await webhook_outbox.claim(ledger, KEY, hook.id, 10, LEASE)
    assert [one.id for one in again.events] == [one.id for one in claim.events]
    # Who comes late changes nothing of what is another's by now.
    first, second = (one.id for one in claim.events)
    await webhook_outbox.settle(ledger, claim, [first], [Again(second, LONG_AGO, 5)])
    assert {(row.tries, row.due_at) for row in await rows(ledger, events_table)} == {(0, again.until)}
    await webhook_outbox.settle(ledger, again, [first, second], [])
    assert await told(ledger) == []


async def test_events_come_oldest_first_with_their_tags(ledger, hook):
    await some(ledger, 3)
    known = await rows(ledger, events_table)
    tagged = {"tag": "spring", "notification_id": known[0].notification_id}
    await ledger.write(lambda connection: connection.execute(sa.insert(tags_table), [tagged]))
    claim = await webhook_outbox.claim(ledger, KEY, hook.id, 2, LEASE)
    assert [one.id for one in claim.events] == sorted(row.id for row in known)[:2]
    assert [one.tags for one in claim.events if one.id == known[0].id] == [("spring",)]
    later = now() + timedelta(minutes=1)
    put_off = [Again(claim.events[1].id, later, 1)]
    await webhook_outbox.settle(ledger, claim, [claim.events[0].id], put_off)
    left = {row.id: (row.tries, row.due_at) for row in await rows(ledger, events_table)}
    assert left[claim.events[1].id] == (1, later)
    assert len(left) == 2


async def test_a_webhook_that_is_deleted_or_gone_takes_its_events_along(ledger, hook):
    other = await webhooks.create(ledger, KEY, "shop", URL, STATES)
    await some(ledger, 1)
    await webhooks.delete(ledger, hook.id, "shop")
    await webhooks.mark_gone(ledger, other.id)
    assert await told(ledger) == []
    await change(ledger, state="claimed")
    await change(ledger, state="failed")
    assert await told(ledger) == []
    assert (await webhooks.find(ledger, other.id)).gone_at is not None


async def test_nothing_is_left_of_what_is_old_or_nobodys(ledger, hook):
    await some(ledger, 2)
    row = (await rows(ledger, events_table))[0]
    stray = {**row._mapping, "id": row.id + 100, "webhook_id": new_id()}
    await ledger.write(lambda connection: connection.execute(sa.insert(events_table), [stray]))
    await change(ledger, events_table, events_table.c.id == row.id, at=now() - timedelta(days=4))
    assert (await webhook_outbox.forget(ledger)).total() == 2
    assert len(await told(ledger)) == 1


async def test_retention_leaves_no_event_of_what_it_took(ledger, hook):
    await some(ledger, 2)
    two_days = now() - timedelta(days=2)
    await change(ledger, finished_at=two_days)
    await change(ledger, events_table, at=two_days)
    assert await prune(ledger, 1) == 2
    assert await told(ledger) == []


async def test_a_client_has_ten_at_most_however_many_ask_at_once(ledger):
    made = [webhooks.create(ledger, KEY, "shop", URL) for _ in range(14)]
    found = await asyncio.gather(*made, return_exceptions=True)
    assert sum(isinstance(one, TooManyWebhooks) for one in found) == 4
    await webhooks.create(ledger, KEY, "blog", URL)
    assert len(await webhooks.every(ledger, "shop")) == 10


async def test_a_rotation_counts_and_is_the_clients_own(ledger, hook):
    with pytest.raises(UnknownWebhook):
        await webhooks.rotate(ledger, KEY, hook.id, "blog")
    with pytest.raises(UnknownWebhook):
        await webhooks.delete(ledger, hook.id, "blog")
    rotated = await webhooks.rotate(ledger, KEY, hook.id, "shop")
    assert rotated.generations(now()) == [1, 0]
    assert rotated.generations(now() + timedelta(hours=25)) == [1]
    assert (await webhooks.find(ledger, hook.id, "shop")) == rotated
    assert rotated.states == [str(state) for state in STATES]


async def test_a_state_that_is_written_by_hand_is_told_too(ledger, hook):
    await accept.accept(ledger, NOTE, [ask()])
    await change(ledger, client="shop")
    await run_sql(ledger, "UPDATE notifications SET state = 'cancelled', reason = 'by hand'")
    assert await told(ledger) == [("cancelled", "by hand")]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_words_that_cannot_be_read_are_told_as_far_as_they_can(ledger, hook):
    await some(ledger, 2)
    await run_sql(ledger, "UPDATE webhook_events SET reason = CAST(x'ff61' AS TEXT) WHERE id = 1")
    await run_sql(ledger, "UPDATE webhook_events SET reason = x'6262' WHERE id = 2")
    claim = await webhook_outbox.claim(ledger, KEY, hook.id, 9, LEASE)
    assert [one.reason for one in claim.events] == ["\ufffda", "bb"]


async def test_a_webhook_that_is_told_in_vain_fails_since_the_oldest_of_it(ledger, hook):
    await some(ledger, 3)
    assert (await webhooks.find(ledger, hook.id)).failing_since is None
    claim = await webhook_outbox.claim(ledger, KEY, hook.id, 2, LEASE)
    vain = [Again(one.id, now(), 1) for one in claim.events]
    await webhook_outbox.settle(ledger, claim, [], vain)
    oldest = min(one.at for one in claim.events)
    assert [one.failing_since for one in await webhooks.every(ledger)] == [oldest]
    [finding] = webhooks_finding(await webhooks.every(ledger))
    assert f"webhook {hook.id} (client shop) since {oldest:%Y-%m-%d %H:%M} UTC" in finding.found
    again = await webhook_outbox.claim(ledger, KEY, hook.id, 9, LEASE)
    await webhook_outbox.settle(ledger, again, [one.id for one in again.events], [])
    assert webhooks_finding(await webhooks.every(ledger)) == []


async def test_a_run_that_is_lost_tells_nothing(ledger, hook):
    await of_the_shop(ledger)
    await lost(ledger)
    await taken(ledger)
    assert await told(ledger) == []


async def test_what_begins_held_is_told(ledger, hook):
    await accept.accept_all(ledger, [Candidate(NOTE, ask(digest=True), client="shop")])
    assert await told(ledger) == [("held", "digest")]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_client_named_like_a_type_waits_for_no_run_of_that_type(ledger):
    async with asyncio.timeout(60), ledger.engine.begin() as taking_up:
        await taking_up.run_sync(holds.lock_out_holds, "alert")
        await webhooks.create(ledger, KEY, "alert", URL, STATES)


async def test_since_when_a_webhook_fails_is_found_by_an_index(ledger, hook):
    seen = statements_of(ledger)
    await webhooks.every(ledger)
    await webhooks.find(ledger, hook.id)
    looks = [one for one in seen if "failing_since" in one[0]]
    assert len(looks) == 2
    for _, plan in await plans_of(ledger, looks):
        assert "ix_webhook_events_failing" in plan
