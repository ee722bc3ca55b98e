"""Accepting: durable, once per key, repeats grouped."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from support.ledger import (
    GROUPED,
    LONG_AGO,
    NOTE,
    after_the_next_statement,
    ask,
    change,
    rows,
    run_sql,
    taken,
)
from support.rings import ring
from support.stopwatch import LONGEST_HOLD, Loop, settle, slowness

from waypost import Recipient, Request
from waypost.flows.message import TYPE as MESSAGE
from waypost.flows.message import Mail
from waypost.ledger import open_ledger
from waypost.ledger.database.tables import groups, idempotency_keys, notifications, recipients
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.system.clock import now
from waypost.system.ids import use_ids

pytestmark = pytest.mark.anyio


def outcomes(receipts):
    return [receipt.outcome for receipt in receipts]


async def test_receipts_come_in_the_order_of_the_requests(ledger):
    receipts = await accept(ledger, NOTE, [ask(text) for text in "abcd"])
    data = {row.id: row.data["text"] for row in await rows(ledger)}
    assert [data[receipt.id] for receipt in receipts] == list("abcd")


async def test_accepting_nothing_is_allowed(ledger):
    assert await accept(ledger, NOTE, []) == []


async def test_the_same_key_and_body_again_gets_the_first_answer(ledger):
    [first] = await accept(ledger, NOTE, [ask(idempotency_key="k")])
    [again] = await accept(ledger, NOTE, [ask(idempotency_key="k")])
    assert (again.outcome, again.id) == ("repeated", first.id)
    assert len(await rows(ledger)) == 1


async def test_the_same_key_with_another_body_is_a_conflict(ledger):
    await accept(ledger, NOTE, [ask("one", idempotency_key="k")])
    [again] = await accept(ledger, NOTE, [ask("two", idempotency_key="k")])
    assert again.outcome == "conflict"
    assert "another body" in again.reason
    assert len(await rows(ledger)) == 1


async def test_a_key_twice_in_one_call_counts_once(ledger):
    receipts = await accept(ledger, NOTE, [ask(idempotency_key="k"), ask(idempotency_key="k"), ask()])
    assert outcomes(receipts) == ["accepted", "repeated", "accepted"]
    assert receipts[0].id == receipts[1].id


async def test_a_hundred_at_once_under_one_key_make_one_row(ledger):
    together = [accept(ledger, NOTE, [ask(idempotency_key="k")]) for _ in range(100)]
    receipts = [receipt for [receipt] in await asyncio.gather(*together)]
    assert sorted(outcomes(receipts)) == ["accepted", *["repeated"] * 99]
    assert len({receipt.id for receipt in receipts}) == 1
    assert len(await rows(ledger)) == 1


async def test_overlapping_batches_in_opposite_orders_do_not_deadlock(ledger):
    asked = [ask(to=f"r{n}", idempotency_key=f"k{n}") for n in range(50)]
    both = await asyncio.gather(*(accept(ledger, NOTE, some) for some in (asked, asked[::-1]) * 5))
    assert sum(outcomes(receipts).count("accepted") for receipts in both) == 50


async def test_what_is_left_out_of_a_recipient_stays_as_it_was(ledger):
    await accept(ledger, NOTE, [ask(recipient=Recipient(id="x", email="x@a.example", locale="fr"))])
    await accept(ledger, NOTE, [ask(recipient=Recipient(id="x", name="Xenia"))])
    [row] = await rows(ledger, recipients)
    assert (row.email, row.locale, row.name) == ("x@a.example", "fr", "Xenia")


async def test_a_recipient_without_id_is_known_by_its_address(ledger):
    await accept(ledger, NOTE, [ask(recipient=Recipient(email="Ada@a.example"))])
    [row] = await rows(ledger, recipients)
    assert (row.key, row.email) == (await ledger.stored_key("mailto:ada@a.example"), "Ada@a.example")


async def test_a_phone_once_given_beside_an_email_is_reached_by_who_gives_the_email_alone(ledger):
    await accept(ledger, NOTE, [ask(recipient=Recipient(email="ada@a.example", phone="+15550100"))])
    await accept(ledger, NOTE, [ask(recipient=Recipient(email="Ada@a.example"))])
    _, (first, second) = await taken(ledger)
    assert [n.recipient.address("sms") for n in (first, second)] == ["+15550100"] * 2
    assert [n.recipient.email for n in (first, second)] == ["ada@a.example", "Ada@a.example"]


async def test_deliver_at_and_expires_at_are_kept(ledger):
    later, end = now() + timedelta(hours=2), now() + timedelta(hours=2, minutes=5)
    await accept(ledger, NOTE, [ask(deliver_at=later, expires_at=end)])
    [row] = await rows(ledger)
    assert (row.due_at, row.expires_at) == (later, end)


async def test_the_types_deadline_bounds_a_later_expiry(ledger):
    await accept(ledger, NOTE, [ask(expires_at=now() + timedelta(days=9))])
    [row] = await rows(ledger)
    assert row.expires_at - row.accepted_at == NOTE.deadline


async def test_what_asks_for_the_digest_is_held_beyond_the_deadline(ledger):
    await accept(ledger, NOTE, [ask(digest=True)])
    [row] = await rows(ledger)
    assert (row.state, row.reason) == ("held", "digest")
    assert row.expires_at - row.accepted_at > timedelta(days=2)


async def test_repeats_in_one_call_are_one_notification_with_a_count(ledger):
    receipts = await accept(ledger, GROUPED, [ask("down"), ask("down"), ask("up"), ask("down")])
    assert outcomes(receipts) == ["accepted", "grouped", "accepted", "grouped"]
    assert sorted(row.occurrences for row in await rows(ledger)) == [1, 3]


async def test_repeats_in_later_calls_are_counted_too(ledger):
    [first] = await accept(ledger, GROUPED, [ask("down")])
    [second] = await accept(ledger, GROUPED, [ask("down")])
    [row] = await rows(ledger)
    assert second.id == first.id
    assert row.occurrences == 2


async def test_repeats_at_the_same_moment_are_one(ledger):
    await asyncio.gather(*(accept(ledger, GROUPED, [ask("down")]) for _ in range(20)))
    [row] = await rows(ledger)
    assert row.occurrences == 20


async def test_after_the_window_a_repeat_is_a_notification_of_its_own(ledger):
    await accept(ledger, GROUPED, [ask("down")])
    await change(ledger, groups, opened_at=LONG_AGO)
    [again] = await accept(ledger, GROUPED, [ask("down")])
    assert again.outcome == "accepted"
    assert len(await rows(ledger)) == 2


@pytest.mark.parametrize(
    "silent",
    [{"state": "failed"}, {"state": "expired"}, {"state": "accepted", "due_at": now() + timedelta(days=1)}],
)
async def test_a_repeat_of_what_will_tell_nobody_is_told_itself(ledger, silent):
    await accept(ledger, GROUPED, [ask("down")])
    await change(ledger, **silent)
    assert outcomes(await accept(ledger, GROUPED, [ask("down"), ask("down")])) == ["accepted", "grouped"]
    assert sorted(row.occurrences for row in await rows(ledger)) == [1, 2]


async def test_an_id_that_looks_like_an_address_leads_nobodys_mail_elsewhere(ledger):
    await accept(ledger, NOTE, [ask(recipient=Recipient(email="victim@a.example"))])
    await accept(ledger, NOTE, [ask(recipient=Recipient(id="victim@a.example", email="evil@b.example"))])
    emails = {row.key: row.email for row in await rows(ledger, recipients)}
    victim = await ledger.stored_key("mailto:victim@a.example")
    assert emails == {victim: "victim@a.example", "victim@a.example": "evil@b.example"}


async def test_recipients_are_not_grouped_together(ledger):
    await accept(ledger, GROUPED, [ask("down", to="a"), ask("down", to="b")])
    assert len(await rows(ledger)) == 2


async def test_a_grouped_request_repeated_under_its_key_is_not_counted_again(ledger):
    await accept(ledger, GROUPED, [ask("down", idempotency_key="1"), ask("down", idempotency_key="2")])
    [again] = await accept(ledger, GROUPED, [ask("down", idempotency_key="2")])
    [row] = await rows(ledger)
    assert (again.outcome, again.id, row.occurrences) == ("repeated", row.id, 2)


async def test_a_failed_transaction_accepts_nothing(ledger):
    one, same = ask(idempotency_key="k"), uuid4()
    with use_ids(lambda: same), pytest.raises(sa.exc.IntegrityError):
        await accept(ledger, NOTE, [one, ask(to="b")])
    assert await rows(ledger) == []
    assert outcomes(await accept(ledger, NOTE, [one])) == ["accepted"]


async def test_a_key_whose_notification_is_gone_is_free_again(ledger):
    [first] = await accept(ledger, NOTE, [ask("one", idempotency_key="k")])
    await run_sql(ledger, "DELETE FROM notifications")
    asked = [ask("two", idempotency_key="k"), ask("two", idempotency_key="k"), ask(idempotency_key="other")]
    receipts = await accept(ledger, NOTE, asked)
    assert outcomes(receipts) == ["accepted", "repeated", "accepted"]
    assert receipts[0].id == receipts[1].id != first.id
    assert outcomes(await accept(ledger, NOTE, asked[:1])) == ["repeated"]


async def test_a_group_whose_notification_is_gone_is_opened_anew(ledger):
    await accept(ledger, GROUPED, [ask("down")])
    await run_sql(ledger, "DELETE FROM notifications")
    assert outcomes(await accept(ledger, GROUPED, [ask("down"), ask("down")])) == ["accepted", "grouped"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_key_deleted_between_two_looks_at_it_is_free_again(ledger):
    await accept(ledger, NOTE, [ask(idempotency_key="k")])

    async def prune(elsewhere):
        for table in (idempotency_keys, notifications):
            await elsewhere.write(lambda connection, table=table: connection.execute(sa.delete(table)))

    after_the_next_statement(ledger, prune)
    assert outcomes(await accept(ledger, NOTE, [ask(idempotency_key="k")])) == ["accepted"]
    assert len(await rows(ledger)) == 1


UNDONE_ONCE = (
    "CREATE SEQUENCE goes",
    "CREATE FUNCTION undo_the_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF nextval('goes') = 1 THEN RAISE EXCEPTION 'undone' USING ERRCODE = '40001'; END IF;"
    " RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER undo AFTER INSERT ON recipients"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION undo_the_first()",
)
AS_BEFORE = ("DROP TRIGGER undo ON recipients", "DROP FUNCTION undo_the_first", "DROP SEQUENCE goes")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_what_is_undone_at_its_commit_is_accepted_all_the_same(ledger):
    for statement in UNDONE_ONCE:
        await run_sql(ledger, statement)
    try:
        receipts = await accept(ledger, NOTE, [ask(idempotency_key="k"), ask(idempotency_key="k"), ask()])
    finally:
        for statement in AS_BEFORE:
            await run_sql(ledger, statement)
    assert outcomes(receipts) == ["accepted", "repeated", "accepted"]
    assert len(await rows(ledger)) == 2


async def test_a_mail_to_several_recipients_is_written_out_once_for_postgresql(ledger):
    """To write out ten megabytes for each holds the event loop; on SQLite it is done in a thread."""
    mime = "From: shop@a.example\r\n\r\n" + "a line of a mail\r\n" * 10_000
    first = Request[Mail](recipient=Recipient(email="r0@a.example"), data=Mail(mime=mime))
    written = len(first.data_json)
    people = [first.model_copy(update={"recipient": Recipient(email=f"r{n}@a.example")}) for n in range(5)]
    sent = []

    def listen(_connection, _cursor, _statement, parameters, *_):
        sent.append(len(repr(parameters)))

    engine = getattr(ledger.engine, "sync_engine", ledger.engine)
    sa.event.listen(engine, "before_cursor_execute", listen)
    await accept(ledger, MESSAGE, people)
    assert written < sum(sent) < written * (2 if ledger.is_postgres else 7) * 4 / 3
    assert {row.data["mime"] for row in await rows(ledger)} == {mime}


def mail(number: int, size: int) -> Candidate:
    mime = "From: shop@a.example\r\n\r\n" + f"mail {number}, with a letter beyond ASCII: \u00e9\r\n" * (
        size // 43
    )
    person = Recipient(email=f"r{number}@a.example")
    return Candidate(
        MESSAGE, Request[Mail](recipient=person, data=Mail(mime=mime), idempotency_key=str(number))
    )


@pytest.mark.long
@pytest.mark.parametrize(("count", "size"), [(10, 8_000_000), (400, 60_000)])
async def test_mails_that_come_at_once_hold_the_loop_no_longer_than_one(ledger, count, size):
    """As many as a group commit takes. It is measured in a loop of its own, on a ledger opened there."""
    asked = [mail(number, size) for number in range(count)]
    with Loop() as loop:
        own = open_ledger(ledger.engine.url.render_as_string(hide_password=False), ring=ring)
        loop.run(accept(own, NOTE, [ask()]))
        settle()
        spent = loop.spent(lambda: loop.run(accept_all(own, asked)))
        loop.run(own.close())
    assert spent.held < LONGEST_HOLD * slowness()
    kept = sorted(row.recipient_key for row in await rows(ledger) if row.type == "message")
    assert kept == sorted([await ledger.stored_key(one.request.recipient.key) for one in asked])


async def test_facts_are_kept_as_they_came_however_they_lie_in_statements(ledger):
    """Long and short ones, some the same for several, and together more than a statement takes."""
    long = [f"{letter}\u00e9\U0001f600" * 30_000 for letter in "abc"]
    texts = [
        long[0],
        "short",
        long[0],
        *long,
        long[2],
        *("m" * 50_000 + str(n) for n in range(40)),
        "\u20ac",
        long[1],
    ]
    receipts = await accept(ledger, NOTE, [ask(text, to=f"r{n}") for n, text in enumerate(texts)])
    kept = {row.id: row.data["text"] for row in await rows(ledger)}
    assert [kept[receipt.id] for receipt in receipts] == texts
