"""Bundling: one notification a recipient, nothing lost, nothing twice."""

import asyncio
from collections import Counter
from threading import Thread
from uuid import uuid4

import pytest
import sqlalchemy as sa
from support.ledger import (
    DIGEST,
    LONG_AGO,
    NOTE,
    ask,
    change,
    changed_per_transaction,
    compose,
    lost,
    rows,
    run_sql,
)
from support.rings import ring

from waypost.config.settings import with_async_driver
from waypost.deployments.processes.housekeeping import Intervals, chores
from waypost.ledger import open_ledger
from waypost.ledger.database import tolerant
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.queue import batches, claims, digest_items, digest_plan
from waypost.ledger.queue.attempts import AttemptFinished
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.digests import bundle
from waypost.ledger.queue.reaper import Reaper
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.queue.waiting_lanes import waiting_lanes
from waypost.ledger.records import recipients
from waypost.model.request import Recipient
from waypost.model.states import State
from waypost.policy.retry import Decision

pytestmark = pytest.mark.anyio


async def hold(ledger, *texts, to="ada"):
    await accept(ledger, NOTE, [ask(text, to=to, digest=True) for text in texts])


async def digests(ledger):
    return await rows(ledger, notifications, notifications.c.type == "digest")


async def test_each_recipient_gets_one_digest_of_its_items_oldest_first(ledger):
    await hold(ledger, "a", "b")
    await hold(ledger, "x", to="bob")
    await hold(ledger, "c")
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 2
    made = {row.recipient_key: row.data["text"] for row in await digests(ledger)}
    assert made == {"ada": "a,b,c", "bob": "x"}


async def test_no_items_no_digest(ledger):
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 0
    assert await rows(ledger) == []


async def test_what_did_not_ask_for_it_is_left_alone(ledger):
    await accept(ledger, NOTE, [ask()])
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 0


async def test_two_runs_at_the_same_moment_share_nothing(ledger):
    for number in range(30):
        await hold(ledger, f"{number}a", f"{number}b", to=f"r{number}")
    await asyncio.gather(*(bundle(ledger, DIGEST, "note", compose) for _ in range(4)))
    made = await digests(ledger)
    assert len(made) == 30
    assert sorted(len(row.data["text"].split(",")) for row in made) == [2] * 30


async def test_a_crash_half_way_leaves_every_item_held(ledger):
    await hold(ledger, "a", "b")

    def crash(items, until):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await bundle(ledger, DIGEST, "note", crash)
    assert {(row.type, row.state) for row in await rows(ledger)} == {("note", "held")}
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 1


async def test_more_recipients_than_one_transaction_takes(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.queue.digest_plan.RECIPIENTS_AT_ONCE", 4)
    for number in range(11):
        await hold(ledger, "a", to=f"r{number}")
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 11
    assert len(await digests(ledger)) == 11


async def test_items_share_the_end_of_their_digest(ledger):
    await hold(ledger, "a", "b")
    batch, _ = await bundle(ledger, DIGEST, "note", compose)
    [digest] = (await claims.take_up(ledger, "digest", batch)).notifications
    await Recorder(ledger).finish(AttemptFinished(digest.id, batch, Decision(State.FAILED, "refused")))
    assert {(row.state, row.reason) for row in await rows(ledger)} == {("failed", "refused")}


async def test_items_in_a_digest_are_never_due_on_their_own(ledger):
    await hold(ledger, "a")
    await bundle(ledger, DIGEST, "note", compose)
    assert await waiting_lanes(ledger, ["note", "digest"]) == []


async def test_a_digest_whose_run_was_lost_comes_back(ledger):
    await hold(ledger, "a")
    await bundle(ledger, DIGEST, "note", compose)
    await lost(ledger)
    assert [lane.type for lane in await waiting_lanes(ledger, ["note", "digest"])] == ["digest"]


async def test_what_is_too_much_for_one_run_goes_to_others(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.queue.digests.CLAIM_LIMIT", 3)
    for number in range(5):
        await hold(ledger, "a", to=f"r{number}")
    batch, made = await bundle(ledger, DIGEST, "note", compose)
    mine = (await claims.take_up(ledger, "digest", batch)).notifications
    assert (made, len(mine)) == (5, 3)
    assert (await claims.reserve(ledger, "digest", DIGEST.lane)).size == 2


async def test_an_item_that_expired_before_its_digest_is_not_in_it(ledger):
    await hold(ledger, "late")
    await change(ledger, expires_at=LONG_AGO)
    await hold(ledger, "fresh")
    await bundle(ledger, DIGEST, "note", compose)
    [made] = await digests(ledger)
    assert made.data["text"] == "fresh"
    assert {row.state for row in await rows(ledger) if row.data["text"] == "late"} == {"expired"}


async def test_what_waits_for_a_digest_that_never_runs_expires(ledger):
    await hold(ledger, "late")
    await change(ledger, expires_at=LONG_AGO)
    await hold(ledger, "fresh")
    for seconds, chore in chores(ledger, Reaper(ledger, {}), None, None, lambda _: None):
        if seconds == Intervals().expire:
            await chore()
    assert {row.data["text"]: row.state for row in await rows(ledger)} == {"late": "expired", "fresh": "held"}


async def test_what_comes_in_while_a_digest_is_made_waits_for_the_next(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.queue.digest_plan.RECIPIENTS_AT_ONCE", 1)
    for key in "abc":
        await hold(ledger, "first", to=key)
    loop, late = asyncio.get_running_loop(), []

    def compose_slowly(items, until):
        late.extend(asyncio.run_coroutine_threadsafe(hold(ledger, "second", to=key), loop) for key in "abcd")
        return compose(items, until)

    _, made = await bundle(ledger, DIGEST, "note", compose_slowly)
    for one in late:
        await asyncio.wrap_future(one)
    assert made == 3
    assert [row.data["text"] for row in await digests(ledger)] == ["first"] * 3
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 4


async def test_what_is_bundled_after_its_batch_has_ended_goes_to_other_runs(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.queue.digest_plan.RECIPIENTS_AT_ONCE", 1)
    for number in range(9):
        await hold(ledger, "a", to=f"r{number}")
    loop, run, ends = asyncio.get_running_loop(), uuid4(), []
    batch = await batches.open_for_run(ledger, DIGEST, run)

    def end():
        ends.append(asyncio.create_task(batches.end(ledger, batch, BatchResult.LOST)))

    def late(items, until):
        if once:
            loop.call_soon_threadsafe(once.pop())
        return compose(items, until)

    once = [end]
    assert await bundle(ledger, DIGEST, "note", late, run) == (batch, 9)
    assert await ends[0]
    assert (await claims.reserve(ledger, "digest", DIGEST.lane)).size == 9


async def test_a_type_that_bundles_and_is_no_digest_is_told(ledger):
    with pytest.raises(ValueError, match="note bundles note: declare it with digest=True"):
        await bundle(ledger, NOTE, "note", compose)


def key_error(items, until):
    if items[0].data["text"] == "bad":
        raise KeyError("hunter2")
    return compose(items, until)


def not_json(items, until):
    return {"text": object()} if items[0].data["text"] == "bad" else compose(items, until)


@pytest.mark.parametrize(("composing", "kind"), [(key_error, "KeyError"), (not_json, "TypeError")])
async def test_a_digest_that_cannot_be_composed_fails_its_own_items_alone(ledger, composing, kind):
    await hold(ledger, "a")
    await hold(ledger, "bad", to="bob")
    await hold(ledger, "c", to="eve")
    assert (await bundle(ledger, DIGEST, "note", composing))[1] == 2
    assert sorted(row.data["text"] for row in await digests(ledger)) == ["a", "c"]
    [failed] = [row for row in await rows(ledger) if row.state == "failed"]
    assert failed.data["text"] == "bad"
    assert failed.reason == f"composing a digest failed unexpectedly: {kind} (see the log)"


async def held(ledger, text, recipient, client=""):
    await accept_all(ledger, [Candidate(NOTE, ask(text, recipient=recipient, digest=True), client)])


async def made_for(ledger):
    """Each digest: its client, the address its items named, and what it says."""
    assert await bundle(ledger, DIGEST, "note", compose)
    return sorted(
        (row.client or "", (row.named or {}).get("email", ""), row.data["text"])
        for row in await digests(ledger)
    )


async def test_the_same_id_of_two_clients_is_two_people(ledger):
    await held(ledger, "a", Recipient(id="ada", email="ada@one.example"), "one")
    await held(ledger, "b", Recipient(id="ada", email="ada@two.example"), "two")
    await held(ledger, "c", Recipient(id="ada"), "one")
    assert await made_for(ledger) == [("one", "ada@one.example", "a,c"), ("two", "ada@two.example", "b")]


async def test_what_goes_to_two_addresses_is_two_digests(ledger):
    for text, email in (("a", "ada@a.example"), ("b", "ada@b.example"), ("c", "ADA@a.example")):
        await held(ledger, text, Recipient(id="ada", email=email))
    assert await made_for(ledger) == [("", "ADA@a.example", "a,c"), ("", "ada@b.example", "b")]


async def test_items_of_two_brands_are_two_digests_each_of_its_brand(ledger):
    for text, brand in (("a", None), ("b", "acme"), ("c", "default"), ("d", "acme")):
        await accept(ledger, NOTE, [ask(text, digest=True, brand=brand)])
    await made_for(ledger)
    found = [(row.brand, row.data["text"]) for row in await digests(ledger)]
    assert sorted(found, key=str) == [("acme", "b,d"), (None, "a,c")]


async def test_an_item_of_somebody_forgotten_goes_nowhere_with_a_newer_address(ledger):
    await held(ledger, "a", Recipient(id="ada", email="ada@a.example"))
    assert await recipients.forget(ledger, "ada")
    await held(ledger, "b", Recipient(id="ada", email="ada@b.example"))
    assert await made_for(ledger) == [("", "ada@b.example", "b")]
    assert {row.reason for row in await rows(ledger) if row.named == {}} == {recipients.FORGOTTEN}


def texts(made):
    return sorted(row.data["text"] for row in made)


async def test_a_digest_carries_so_many_items_and_the_rest_goes_into_the_next(ledger, monkeypatch):
    monkeypatch.setattr(digest_plan, "MOST_ITEMS", 3)
    await hold(ledger, *"abcdefg")
    await hold(ledger, "x", to="bob")
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 4
    assert texts(await digests(ledger)) == ["a,b,c", "d,e,f", "g", "x"]


async def test_a_digest_carries_so_many_bytes(ledger, monkeypatch):
    monkeypatch.setattr(digest_plan, "MOST_BYTES", 450)
    await hold(ledger, "a" * 100, "b" * 100, "c" * 300, "d")
    await bundle(ledger, DIGEST, "note", compose)
    assert [[item[0] for item in text.split(",")] for text in texts(await digests(ledger))] == [
        ["a", "b"], ["c"], ["d"]
    ]  # fmt: skip


async def test_many_items_of_one_client_divide_no_digest_of_another(ledger, monkeypatch):
    monkeypatch.setattr(digest_plan, "PLANNED_AT_ONCE", 4)
    who = Recipient(email="ops@a.example")
    for number in range(5):
        await held(ledger, f"{number}", who, "loud")
        await held(ledger, f"{number}", who, "loud")
        await held(ledger, f"{number}", who, "quiet" if number % 2 else "loud")
    await held(ledger, "z", Recipient(id="zoe", email="zoe@a.example"))
    await bundle(ledger, DIGEST, "note", compose)
    made = Counter(row.client for row in await digests(ledger))
    assert made == {"loud": 4, "quiet": 1, None: 1}
    assert {row.state for row in await rows(ledger) if row.type == "note"} == {"claimed"}


@pytest.mark.parametrize(("items", "recipients", "size"), [(1300, 1, 3), (1300, 40, 3), (90, 1, 100_000)])
async def test_no_transaction_changes_more_than_a_step(ledger, items, recipients, size):
    for number in range(recipients):
        await hold(ledger, *("x" * size for _ in range(items // recipients)), to=f"r{number}")
    with changed_per_transaction(ledger) as changed:
        await bundle(ledger, DIGEST, "note", compose)
    assert sum(changed) == items // recipients * recipients
    assert max(changed) <= min(digest_plan.MOST_ITEMS, digest_plan.MOST_BYTES // size)


async def test_a_kill_between_two_steps_loses_and_doubles_nothing(ledger, monkeypatch):
    monkeypatch.setattr(digest_plan, "MOST_ITEMS", 2)
    await hold(ledger, *"abcdefg")
    left = [1, 2]

    def killed(items, until):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return compose(items, until)

    with pytest.raises(KeyboardInterrupt):
        await bundle(ledger, DIGEST, "note", killed)
    assert texts(await digests(ledger)) == ["a,b", "c,d"]
    assert (await bundle(ledger, DIGEST, "note", compose))[1] == 2
    assert texts(await digests(ledger)) == ["a,b", "c,d", "e,f", "g"]


async def test_two_runs_at_once_share_the_many_items_of_one_recipient(ledger, monkeypatch):
    monkeypatch.setattr(digest_plan, "MOST_ITEMS", 2)
    await hold(ledger, *map(str, range(30)))
    await asyncio.gather(*(bundle(ledger, DIGEST, "note", compose) for _ in range(4)))
    carried = Counter(",".join(texts(await digests(ledger))).split(","))
    assert carried == dict.fromkeys(map(str, range(30)), 1)


async def test_who_is_forgotten_while_their_digest_is_made_is_in_no_digest(ledger, database):
    await held(ledger, "a", Recipient(id="ada", email="ada@a.example"))

    async def forget():
        other = open_ledger(with_async_driver(database), ring=ring)
        assert await recipients.forget(other, "ada")
        await other.close()

    def compose_late(items, until):
        if waiting:
            thread = Thread(target=lambda: asyncio.run(waiting.pop()()))
            thread.start()
            thread.join()
        return compose(items, until)

    waiting = [forget]
    await bundle(ledger, DIGEST, "note", compose_late)
    assert [(row.named, row.reason) for row in await rows(ledger)] == [({}, recipients.FORGOTTEN)]


async def test_the_items_of_many_digests_that_end_at_once_follow_in_steps(ledger, monkeypatch):
    monkeypatch.setattr(digest_items, "MOST", 3)
    for number in range(4):
        await hold(ledger, "a", "b", to=f"r{number}")
    batch, _ = await bundle(ledger, DIGEST, "note", compose)
    taken = (await claims.take_up(ledger, "digest", batch)).notifications
    refused = [AttemptFinished(one.id, batch, Decision(State.FAILED, "refused")) for one in taken]
    with changed_per_transaction(ledger) as changed:
        await Recorder(ledger).finish_all(refused)
    assert max(changed) <= 4 + 3
    assert Counter(row.state for row in await rows(ledger)) == {"failed": 7, "claimed": 5}
    await digest_items.finish_items(ledger)
    assert {(row.state, row.reason) for row in await rows(ledger)} == {("failed", "refused")}
    assert {row.finished_at for row in await rows(ledger) if row.type == "note"} <= {
        row.finished_at for row in await digests(ledger)
    }


@pytest.mark.parametrize(
    ("database", "damage"),
    [
        ("sqlite", "data = '{oops'"),
        ("sqlite", "data = '[1]'"),
        ("sqlite", "named = '[1]'"),
        ("sqlite", "accepted_at = 5"),
        ("sqlite", "client = CAST(x'ff' AS TEXT)"),
        ("postgresql", "accepted_at = '-infinity'"),
        ("postgresql", "data = '[1]'"),
        ("postgresql", "named = '[1]'"),
    ],
    indirect=["database"],
)
async def test_an_item_that_cannot_be_read_fails_alone_and_its_recipients_digest_goes_on(
    ledger, damage, caplog
):
    await hold(ledger, "a", "b", "c")
    await hold(ledger, "x", to="bob")
    [bad] = [row.id for row in await rows(ledger) if row.data["text"] == "b"]
    # The id as SQLite stores it is the same UUID to PostgreSQL.
    await run_sql(ledger, f"UPDATE notifications SET {damage} WHERE id = '{bad.hex}'")
    await bundle(ledger, DIGEST, "note", compose)
    made = {row.recipient_key: row.data["text"] for row in await digests(ledger)}
    assert made == {"ada": "a,c", "bob": "x"}
    failed = sa.select(*tolerant.raw(notifications.c.id)).where(notifications.c.state == "failed")
    assert await ledger.read(lambda connection: tolerant.ids(connection, failed)) == [bad]
    [told] = [one.message for one in caplog.records if "cannot be read" in one.message]
    assert "a row of notifications" in told
    assert str(bad) in told or bad.hex in told
