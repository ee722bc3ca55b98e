"""What a mail server's replies say of an address: that it is dead, or that it takes nothing for now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.flow_steps import run
from support.ledger import LONG_AGO, NOTE, ask, change, changed_per_transaction, reserved, rows

from waypost import Category, Priority, Recipient
from waypost.ledger.database.bulk import insert_many
from waypost.ledger.database.steps import MOST
from waypost.ledger.database.tables import notifications, soft_bounces, suppressions
from waypost.ledger.intake.accept import accept
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import claims
from waypost.ledger.records import recipients as people
from waypost.ledger.records import soft_bounces as records
from waypost.ledger.records import suppressions as stopped
from waypost.model.profile import Profile
from waypost.model.suppression import Suppression
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio

NEWS = replace(NOTE, category=Category.MARKETING, priority=Priority.NORMAL)
CODE = replace(NOTE, category=Category.SECURITY, priority=Priority.NORMAL)


@pytest.fixture
async def mail(ledger, smtp, mail_server, runtime_of):
    """Sends a note to each of some people through a real mail server; returns its last state and reason."""
    channel = await smtp(mail_server)
    runtime = runtime_of(channel)

    async def send(*people, type=NEWS, soon=False, reply=None):
        mail_server.bends.pop("RCPT", None)
        if reply:
            mail_server.bends["RCPT"] = reply
        expires_at = now() + timedelta(seconds=30) if soon else None
        receipts = await accept(ledger, type, [asked(one, expires_at) for one in people])
        await run(runtime, allowed_as=type)
        by_id = {row.id: row for row in await rows(ledger)}
        return [(by_id[one.id].state, by_id[one.id].reason, one.id) for one in receipts]

    return send


def asked(who, expires_at):
    """A note to somebody by an address, or as a recipient."""
    return (
        ask(recipient=who, expires_at=expires_at)
        if isinstance(who, Recipient)
        else ask(to=who, expires_at=expires_at)
    )


def only(address, reply):
    """Replies so to that recipient, and takes the others."""

    async def bend(session):
        if address in session.house.heard[-1]:
            await session.push(reply)
            return reply
        return None

    return bend


async def stopped_addresses(ledger):
    return [(one.address, str(one.cause)) async for one in stopped.each(ledger)]


async def test_no_such_mailbox_suppresses_that_address_alone_and_the_next_ends_suppressed(ledger, mail):
    reply = only("ada@", "550 5.1.1 <ada@a.example>: no such user")
    found = await mail("ada", "bob", reply=reply)
    assert [state for state, _, _ in found] == ["failed", "sent"]
    [one] = await rows(ledger, suppressions)
    assert (one.shown, one.client, one.scope, one.cause) == ("ada@a.example", "*", "", "hard bounce")
    assert (one.evidence, one.expires_at) == ("smtp: 550 5.1.1 <a***a@a.example>: no such user", None)
    [(state, reason, _)] = await mail("ada")
    assert (state, reason) == ("suppressed", "hard bounce, all categories (suppression)")


async def test_a_code_still_goes_to_a_dead_address_and_its_story_says_so(ledger, mail):
    await mail("ada", reply="550 5.1.1 no such user")
    [(state, _, id)] = await mail("ada", type=CODE)
    assert state == "sent"
    story = {one.what: one.detail for one in (await explain(ledger, id)).timeline}
    assert story["allowed"] == "although suppressed: hard bounce, all categories; security is mandatory"
    assert "sent because its category is mandatory" in story["attempt 1 started"]
    assert [one.rule for one in (await explain(ledger, id)).attempts] == ["mandatory"]


async def test_after_a_dead_address_the_next_goes_to_the_other_that_is_verified(ledger, mail, mail_server):
    home = {"address": "ada@home.example", "verified": True}
    await people.patch(ledger, Profile(id="ada", addresses=[home]), ["addresses"])
    await mail("ada", reply=only("ada@a.example", "550 5.1.1 no such user"))
    [(state, _, id)] = await mail(Recipient(id="ada"))
    assert state == "sent"
    assert [one.rcpt_tos for one in mail_server.taken] == [["ada@home.example"]]
    story = {one.what: one.detail for one in (await explain(ledger, id)).timeline}
    assert story["redirected"].endswith("the main one has a hard bounce")


async def test_a_mail_that_another_address_took_forgets_the_soft_bounces_there(ledger, mail):
    home = {"address": "ada@home.example", "verified": True}
    await people.patch(
        ledger, Profile(id="ada", email="ada@a.example", addresses=[home]), ["email", "addresses"]
    )
    await stopped.add(ledger, [Suppression(address="ada@a.example", cause="hard bounce")])
    await ledger.write(lambda connection: records.note(connection, [("ada@home.example", new_id())]))
    [(state, _, _)] = await mail(Recipient(id="ada"))
    assert (state, await rows(ledger, soft_bounces)) == ("sent", [])


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 rejected by policy",
        "552 5.2.2 mailbox full",
        "550 5.6.0 content rejected",
        "552 5.3.4 message too big",
        "550 no",
        "451 4.1.1 later",
        "450 4.2.1 later",
    ],
)
async def test_another_refusal_suppresses_nothing_at_once(ledger, mail, reply):
    await mail("ada", reply=reply)
    assert await stopped_addresses(ledger) == []


SOFT = "450 4.2.1 mailbox disabled"


async def test_three_notifications_that_end_untaken_suppress_the_address_for_a_week(ledger, mail):
    for _ in range(2):
        [(state, _, _)] = await mail("ada", reply=SOFT, soon=True)
        assert state == "failed"
    assert await stopped_addresses(ledger) == []
    await mail("ada", reply=SOFT, soon=True)
    [one] = await rows(ledger, suppressions)
    assert (one.shown, one.cause) == ("ada@a.example", "repeated soft bounce")
    assert one.evidence == "3 notifications within 30 days were not taken"
    assert timedelta(days=6) < one.expires_at - now() < timedelta(days=7)
    [(state, reason, _)] = await mail("ada")
    assert (state, reason) == ("suppressed", "repeated soft bounce, all categories (suppression)")


@pytest.mark.parametrize(
    "reply",
    [
        "452 4.2.2 mailbox full",
        "450 4.7.1 greylisted",
        "452 4.3.1 out of storage",
        "451 4.4.2 timeout",
        "421 too busy",
        "554 5.7.1 relay access denied",
    ],
)
async def test_what_is_not_about_the_mailbox_does_not_count(ledger, mail, reply):
    for _ in range(3):
        await mail("ada", reply=reply, soon=True)
    assert await rows(ledger, soft_bounces) == []


async def test_a_deferral_that_is_tried_again_does_not_count(ledger, mail):
    [(state, _, _)] = await mail("ada", reply=SOFT)
    assert state == "deferred"
    assert await rows(ledger, soft_bounces) == []


async def expired(ledger, *, taken_up):
    """The deferred ones come to their deadline: while they wait, or claimed by a run that begins late."""
    due = {"state": "deferred", "due_at": LONG_AGO}
    await change(ledger, notifications, notifications.c.state == "deferred", **due)
    passed = notifications.c.state.in_(("deferred", "claimed"))
    if not taken_up:
        await change(ledger, notifications, passed, expires_at=LONG_AGO)
    claim = await reserved(ledger)
    if taken_up:
        await change(ledger, notifications, passed, expires_at=LONG_AGO)
        await claims.take_up(ledger, "note", claim.id)
    return [(row.state, row.reason) for row in await rows(ledger)]


@pytest.mark.parametrize("taken_up", [False, True])
async def test_what_expires_while_it_waits_after_soft_refusals_counts(ledger, mail, taken_up):
    for count in (1, 2, 3):
        await mail("ada", reply=SOFT)
        assert len(await rows(ledger, soft_bounces)) == count - 1
        assert {state for state, _ in await expired(ledger, taken_up=taken_up)} == {"expired"}
        assert {row.address for row in await rows(ledger, soft_bounces)} == {
            await ledger.stored_key("mailto:ada@a.example")
        }
    assert await stopped_addresses(ledger) == [("ada@a.example", "repeated soft bounce")]


@pytest.mark.parametrize(
    "reply",
    [
        "452 4.2.2 mailbox full",
        "450 4.7.1 greylisted",
        "451 4.4.2 timeout",
        "421 4.2.1 too busy",
        "450 sending quota exceeded for your account",
    ],
)
async def test_what_expires_after_another_refusal_does_not_count(ledger, mail, reply):
    await mail("ada", reply=reply)
    assert [state for state, _ in await expired(ledger, taken_up=False)] == ["expired"]
    assert await rows(ledger, soft_bounces) == []


async def test_what_expires_without_an_attempt_or_for_a_forgotten_recipient_counts_for_nobody(ledger, mail):
    await mail("ada", reply=SOFT)
    await accept(ledger, NEWS, [ask(to="bob")])
    assert await people.forget(ledger, "ada")
    await change(ledger, notifications, expires_at=LONG_AGO, due_at=LONG_AGO)
    assert await reserved(ledger) is None
    assert {row.state for row in await rows(ledger)} == {"expired"}
    assert await rows(ledger, soft_bounces) == []


async def test_a_mail_that_is_taken_starts_the_count_anew(ledger, mail):
    for _ in range(2):
        await mail("ada", "bob", reply=SOFT, soon=True)
    await mail("ada")
    bob = await ledger.stored_key("mailto:bob@a.example")
    assert {row.address for row in await rows(ledger, soft_bounces)} == {bob}
    await mail("ada", reply=SOFT, soon=True)
    assert await stopped_addresses(ledger) == []


async def test_a_code_that_is_taken_lifts_the_suppression_and_no_other(ledger, mail):
    await stopped.add(ledger, [Suppression(address="ada@a.example", scope=Category.PRODUCT)])
    for _ in range(3):
        await mail("ada", reply=SOFT, soon=True)
    assert len(await stopped_addresses(ledger)) == 2
    [(state, _, _)] = await mail("ada", type=CODE)
    assert state == "sent"
    assert await stopped_addresses(ledger) == [("ada@a.example", "manual")]


async def test_what_is_older_than_thirty_days_does_not_count_and_is_deleted(ledger, mail):
    for _ in range(2):
        await mail("ada", reply=SOFT, soon=True)
    await change(ledger, soft_bounces, at=now() - timedelta(days=31))
    await mail("ada", reply=SOFT, soon=True)
    assert await stopped_addresses(ledger) == []
    assert await records.delete_old(ledger) == 2
    assert len(await rows(ledger, soft_bounces)) == 1


async def test_what_has_expired_is_deleted_and_the_rest_stays(ledger):
    over = [
        Suppression(address=f"r{n}@a.example", expires_at=now() - timedelta(days=1)) for n in range(1_200)
    ]
    lasting = [
        Suppression(address="ada@a.example"),
        Suppression(address="bob@a.example", expires_at=now() + timedelta(days=1)),
    ]
    await stopped.add(ledger, [*over, *lasting])
    with changed_per_transaction(ledger, "DELETE FROM suppressions") as deleted:
        assert await stopped.delete_expired(ledger) == 1_200
    assert max(deleted) <= MOST
    assert len(await rows(ledger, suppressions)) == 2


async def test_many_old_bounces_are_deleted_in_short_transactions(ledger):
    old = [
        {"address": f"mailto:r{n}@a.example", "notification_id": new_id(), "at": LONG_AGO}
        for n in range(3_000)
    ]
    await ledger.write(lambda connection: insert_many(connection, soft_bounces, old))
    with changed_per_transaction(ledger, "DELETE FROM soft_bounces") as deleted:
        assert await records.delete_old(ledger) == 3_000
    assert max(deleted) <= MOST
