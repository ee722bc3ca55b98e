"""Retention: what ended long ago goes, in short transactions, and nothing else does."""

import asyncio
import re
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread

import pytest
import sqlalchemy as sa
import sqlalchemy.ext.asyncio
from support.ledger import NOTE, accepted, ask, bundled, change, claimed, rows
from support.plans import plans_of, statements_of
from support.rings import ring

from waypost.config.settings import with_async_driver
from waypost.ledger import open_ledger
from waypost.ledger.database.steps import FIRST, LEAST, MOST, TARGET_SECONDS, step
from waypost.ledger.database.tables import attempts, batches, idempotency_keys, notifications, recipients
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.retention import prune
from waypost.ledger.operations.retry_cancel import retry
from waypost.ledger.operations.search import Filter
from waypost.ledger.queue.attempts import AttemptFinished
from waypost.ledger.queue.batches import BatchResult, end, mark_reported
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.records import recipients as people
from waypost.model.profile import Profile
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now

pytestmark = pytest.mark.anyio
LONG_AGO = now() - timedelta(days=9)


async def ended(ledger, count=1, state="failed"):
    found = await accepted(ledger, count, idempotency_key=None)
    await change(ledger, state=state, finished_at=LONG_AGO)
    return found


async def test_what_ended_long_ago_goes_with_all_that_belongs_to_it(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).finish(AttemptFinished(one.id, batch, Decision(State.FAILED, "refused")))
    await end(ledger, batch, BatchResult.DONE)
    await mark_reported(ledger, [batch])
    await change(ledger, finished_at=LONG_AGO)
    await change(ledger, batches, ended_at=LONG_AGO)
    assert await prune(ledger, 1) == 1
    for table in (notifications, attempts, idempotency_keys, batches):
        assert await rows(ledger, table) == []


@pytest.mark.parametrize("state", ["accepted", "deferred", "held", "claimed", "sending"])
async def test_what_has_not_ended_stays_however_old(ledger, state):
    await ended(ledger, state=state)
    assert await prune(ledger, 1) == 0
    assert len(await rows(ledger)) == 1


async def test_what_ended_a_moment_ago_stays(ledger):
    await ended(ledger)
    await change(ledger, finished_at=now())
    assert await prune(ledger, 1) == 0


async def test_a_digest_goes_with_its_items(ledger):
    await bundled(ledger, "a", "b", "c")
    await change(ledger, state="sent", finished_at=LONG_AGO)
    assert await prune(ledger, 1) == 4
    assert await rows(ledger) == []


async def test_a_digest_stays_while_an_item_of_it_does(ledger):
    await bundled(ledger, "a", "b")
    await change(ledger, state="sent", finished_at=LONG_AGO)
    [item, *_] = [row.id for row in await rows(ledger) if row.digest_id is not None]
    await change(ledger, notifications, notifications.c.id == item, finished_at=now())
    assert await prune(ledger, 1) == 1
    assert {row.type for row in await rows(ledger)} == {"note", "digest"}


async def pruned_recipients(ledger):
    """Who is left, by client and key."""
    await prune(ledger, 1)
    return [(row.client, row.key) for row in await rows(ledger, recipients)]


async def test_who_has_no_notification_left_goes_too(ledger):
    await ended(ledger, 3)
    await change(ledger, recipients, updated_at=LONG_AGO)
    await change(ledger, notifications, notifications.c.recipient_key == "r1", state="accepted")
    assert await pruned_recipients(ledger) == [("", "r1")]


async def test_who_was_named_or_changed_a_moment_ago_stays(ledger):
    await people.put(ledger, Profile(id="ada", email="ada@a.example"), "shop")
    await ended(ledger)
    assert await pruned_recipients(ledger) == [("", "r0"), ("shop", "ada")]


async def test_a_notification_of_another_client_keeps_nobody(ledger):
    await accepted(ledger, 1)
    for client in ("blog", "shop"):
        await people.put(ledger, Profile(id="r0", email="r0@a.example"), client)
    await accept_all(ledger, [Candidate(NOTE, ask(to="r0"), client="shop")])
    await change(ledger, recipients, updated_at=LONG_AGO)
    assert await pruned_recipients(ledger) == [("", "r0"), ("shop", "r0")]


async def test_every_recipient_is_come_to_however_many_there_are(ledger):
    known = [
        {"client": client, "key": f"r{number}", "updated_at": LONG_AGO}
        for client in ("", "blog", "shop")
        for number in range(FIRST + 7)
    ]
    await ledger.write(lambda connection: connection.execute(sa.insert(recipients), known))
    assert await pruned_recipients(ledger) == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_who_is_named_while_they_are_pruned_is_there_for_the_notification(ledger, database):
    await people.put(ledger, Profile(id="ada", email="ada@a.example"))
    await change(ledger, recipients, updated_at=LONG_AGO)

    async def named_meanwhile():
        other = open_ledger(with_async_driver(database), ring=ring)
        await accept_all(other, [Candidate(NOTE, ask(to="ada"))])
        await other.close()

    with after_the_first(ledger, "SELECT recipients", named_meanwhile):
        assert await pruned_recipients(ledger) == [("", "ada")]


@contextmanager
def after_the_first(ledger, beginning, work):
    """Do `work` in a thread as soon as a statement with that beginning has run, once."""
    engine = getattr(ledger.engine, "sync_engine", ledger.engine)
    waiting = [work]

    def listen(_connection, _cursor, statement, *_):
        if waiting and statement.startswith(beginning):
            work = waiting.pop()
            thread = Thread(target=lambda: asyncio.run(work()))
            thread.start()
            thread.join()

    sa.event.listen(engine, "after_cursor_execute", listen)
    yield


async def test_what_a_person_retries_after_it_was_found_stays(ledger, database):
    [kept, _] = await ended(ledger, 2)

    async def retry_one():
        other = open_ledger(with_async_driver(database), ring=ring)
        await retry(other, Filter(ids=(kept.id,)), {"note": NOTE.deadline})
        await other.close()

    with after_the_first(ledger, "SELECT notifications.id", retry_one):
        assert await prune(ledger, 1) == 1
    assert [(row.id, row.state) for row in await rows(ledger)] == [(kept.id, "accepted")]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_what_another_transaction_holds_waits_for_the_next_time(ledger, database):
    held, _ = [row.id for row in await ended_rows(ledger, 2)]
    other = sa.ext.asyncio.create_async_engine(with_async_driver(database))
    async with other.connect() as connection:
        await connection.execute(sa.select(notifications).where(notifications.c.id == held).with_for_update())
        assert await prune(ledger, 1) == 1
    await other.dispose()
    assert await prune(ledger, 1) == 1


async def ended_rows(ledger, count):
    await ended(ledger, count)
    return await rows(ledger)


QUICK, LONG = TARGET_SECONDS / 10, TARGET_SECONDS * 2


@pytest.mark.parametrize(
    ("rows", "took", "following"),
    [
        (50, QUICK, 100),
        (MOST, QUICK, MOST),
        (50, TARGET_SECONDS / 2, 50),
        (50, LONG, 25),
        (LEAST, LONG, LEAST),
    ],
)
def test_a_transaction_is_as_large_as_is_quickly_done(rows, took, following):
    assert step(rows, took) == following


async def test_each_look_of_retention_goes_by_an_index(ledger):
    await ended(ledger, 3)
    seen = statements_of(ledger)
    await prune(ledger, 1)
    asked = [
        (text, values)
        for text, values in seen
        if text.startswith(("SELECT", "DELETE", "WITH")) and "released_holds" not in text
    ]
    found = dict(await plans_of(ledger, asked))
    assert len(found) > 8
    for text, plan in found.items():
        assert not re.search(
            r"Seq Scan|SCAN (notifications|attempts|events|groups|idem|tags|batches|recipients)"
            r"(?! USING INDEX ix_notifications_in_hand)",
            plan,
        ), text
