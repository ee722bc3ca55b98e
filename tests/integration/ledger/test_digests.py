"""Bundling: one notification a recipient, nothing lost, nothing twice."""

import asyncio
from uuid import uuid4

import pytest
from support.ledger import DIGEST, LONG_AGO, NOTE, ask, change, compose, lost, rows

from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.queue import batches, claims
from waypost.ledger.queue.attempts import AttemptFinished
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.digests import bundle, expire
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.records import recipients
from waypost.model.request import Recipient
from waypost.model.states import State
from waypost.policy.retry import Decision

pytestmark = pytest.mark.anyio


async def hold(ledger, *texts, to="ada"):
    await accept(ledger, NOTE, [ask(text, to=to, digest=True) for text in texts])


async def digests(ledger):
    return [row for row in await rows(ledger) if row.type == "digest"]


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
    monkeypatch.setattr("waypost.ledger.queue.digests.RECIPIENTS_AT_ONCE", 4)
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
    assert await claims.lanes(ledger, ["note", "digest"]) == []


async def test_a_digest_whose_run_was_lost_comes_back(ledger):
    await hold(ledger, "a")
    await bundle(ledger, DIGEST, "note", compose)
    await lost(ledger)
    assert [lane.type for lane in await claims.lanes(ledger, ["note", "digest"])] == ["digest"]


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
    await expire(ledger)
    assert {row.data["text"]: row.state for row in await rows(ledger)} == {"late": "expired", "fresh": "held"}


async def test_what_comes_in_while_a_digest_is_made_waits_for_the_next(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.queue.digests.RECIPIENTS_AT_ONCE", 1)
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
    monkeypatch.setattr("waypost.ledger.queue.digests.RECIPIENTS_AT_ONCE", 1)
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
    with pytest.raises(ValueError, match="note bundles note: declare it with category"):
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


async def test_an_item_of_somebody_forgotten_goes_nowhere_with_a_newer_address(ledger):
    await held(ledger, "a", Recipient(id="ada", email="ada@a.example"))
    assert await recipients.forget(ledger, "ada")
    await held(ledger, "b", Recipient(id="ada", email="ada@b.example"))
    assert await made_for(ledger) == [("", "", "a"), ("", "ada@b.example", "b")]
