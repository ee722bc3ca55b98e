"""Whether what a run takes up may be sent: suppressions, what recipients chose, quiet hours, caps."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from support.ledger import (
    LONG_AGO,
    NOTE,
    ask,
    change,
    changed_per_transaction,
    reserved,
    rows,
    run_sql,
    until_one_waits_for_a_lock,
)

from waypost import Priority
from waypost.ledger.database.steps import MOST
from waypost.ledger.database.tables import events, notifications, preferences, suppressions
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.ledger.queue import claims
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.ledger.records import preferences as chosen
from waypost.ledger.records import suppressions as stopped
from waypost.model.cadence import Cadence
from waypost.model.category import Category, CategoryTerms
from waypost.model.notification_type import Outlasted
from waypost.model.permission import Preference
from waypost.model.suppression import Cause, Suppression
from waypost.system.clock import now
from waypost.system.ids import first_id

pytestmark = pytest.mark.anyio

NEWS = replace(NOTE, category=Category.MARKETING, priority=Priority.NORMAL, route=("email", "sms"))
CODE = replace(NOTE, category=Category.SECURITY, priority=Priority.NORMAL)
ALWAYS = "00:00-23:59"


async def taken(ledger, type=NEWS, **terms):
    claim = await reserved(ledger)
    assert claim is not None
    settings = {type.category: CategoryTerms.model_validate(terms)} if terms else {}
    return await claims.take_up(ledger, "note", claim.id, policy=SendingPolicy.of(type, settings, [type]))


def sent_to(found):
    return [one.recipient.key for one in found.notifications]


def stop(address, **more):
    return Suppression(address=address, **more)


async def test_a_suppressed_address_is_left_out_and_the_row_says_why(ledger):
    await accept(ledger, NEWS, [ask(to="ada"), ask(to="bob")])
    await stopped.add(ledger, [stop("ADA@a.example", cause=Cause.HARD_BOUNCE)])
    found = await taken(ledger)
    assert sent_to(found) == ["bob"]
    [ended] = found.ended
    assert (ended.state, ended.reason) == ("suppressed", "hard bounce, all categories (suppression)")
    ada = next(row for row in await rows(ledger) if row.id == ended.id)
    assert (ada.state, ada.reason) == ("suppressed", ended.reason)
    assert ada.finished_at


async def test_another_channel_is_used_where_the_address_is_suppressed(ledger):
    recipient = {"id": "ada", "email": "ada@a.example", "phone": "+491701234512"}
    await accept(ledger, NEWS, [ask(recipient=recipient)])
    await stopped.add(ledger, [stop("ada@a.example")])
    [one] = (await taken(ledger)).notifications
    assert (one.channels, one.rule) == (["sms"], "default")


@pytest.mark.parametrize(
    ("suppression", "sends"),
    [
        (stop("ada@a.example", scope=Category.MARKETING), False),
        (stop("ada@a.example", scope=Category.PRODUCT), True),
        (stop("ada@a.example", client="another"), True),
        (stop("ada@a.example", expires_at=LONG_AGO), True),
        (stop("other@a.example"), True),
    ],
)
async def test_a_suppression_stops_its_category_and_client_while_it_lasts(ledger, suppression, sends):
    await accept(ledger, NEWS, [ask(to="ada")])
    await stopped.add(ledger, [suppression])
    assert bool((await taken(ledger)).notifications) is sends


async def test_a_code_goes_out_although_its_address_is_suppressed_and_the_timeline_says_so(ledger):
    await accept(ledger, CODE, [ask(to="ada")])
    await stopped.add(ledger, [stop("ada@a.example", cause=Cause.UNSUBSCRIBE, scope=Category.MARKETING)])
    await stopped.add(ledger, [stop("ada@a.example", cause=Cause.COMPLAINT)])
    [one] = (await taken(ledger, CODE)).notifications
    assert one.rule == "mandatory"
    [event] = await rows(ledger, events)
    assert event.detail == "although suppressed: complaint, all categories; security is mandatory"


async def test_what_a_recipient_chose_beats_what_the_client_chose_for_all(ledger):
    requests = [Candidate(NEWS, ask(to=to), client="shop") for to in ("ada", "bob")]
    await accept_all(ledger, requests)
    never = {Category.MARKETING: Preference(Cadence.parse("never"))}
    await chosen.choose(ledger, "shop", chosen.AUDIENCE, never, "api")
    await chosen.choose(ledger, "shop", "ada", {Category.MARKETING: Preference()}, "api")
    found = await taken(ledger)
    assert sent_to(found) == ["ada"]
    assert found.notifications[0].rule == "recipient"
    assert found.ended[0].reason == "marketing is turned off (audience)"


async def test_a_choice_is_for_that_client_and_that_category_alone(ledger):
    requests = [Candidate(NEWS, ask(to="ada"), client=client) for client in ("shop", "bank", "")]
    await accept_all(ledger, requests)
    never = Preference(Cadence.parse("never"))
    await chosen.choose(ledger, "shop", "ada", {Category.MARKETING: never}, "page")
    await chosen.choose(ledger, "bank", "ada", {Category.PRODUCT: never}, "page")
    found = await taken(ledger)
    assert sorted(one.client for one in found.notifications) == ["", "bank"]


async def test_quiet_hours_put_off_without_counting_as_a_try_and_then_it_goes(ledger):
    await accept(ledger, NEWS, [ask(to="ada")])
    found = await taken(ledger, quiet_hours=ALWAYS)
    [ended] = found.ended
    assert not found.notifications
    assert (ended.state, ended.reason) == (
        "deferred", "quiet hours are 00:00-23:59 in UTC (quiet hours)",
    )  # fmt: skip
    [row] = await rows(ledger)
    assert (row.state, row.tries, row.due_at) == ("deferred", 0, ended.due)
    assert row.expires_at == row.due_at + NEWS.deadline
    await change(ledger, due_at=now() - timedelta(seconds=1))
    assert sent_to(await taken(ledger)) == ["ada"]


@pytest.mark.parametrize(
    ("outlasted", "state"),
    [(Outlasted.SEND, None), (Outlasted.EXPIRE, "expired"), (Outlasted.HOLD, "deferred")],
)
async def test_a_wait_beyond_the_deadline_is_for_the_type_to_decide(ledger, outlasted, state):
    type = replace(NEWS, when_outlasted=outlasted, deadline=timedelta(seconds=30))
    await accept(ledger, type, [ask(to="ada")])
    cadence = {Category.MARKETING: Preference(Cadence.parse("hourly"))}
    await chosen.choose(ledger, "", "ada", cadence, "api")
    found = await taken(ledger, type)
    assert [one.state for one in found.ended] == ([state] if state else [])
    assert len(found.notifications) == (state is None)


async def test_an_expiry_that_the_request_named_is_never_moved(ledger):
    await accept(ledger, NEWS, [ask(to="ada", expires_at=now() + timedelta(seconds=20))])
    found = await taken(ledger, cadence="monthly")
    assert [one.state for one in found.ended] == ["expired"]
    assert found.ended[0].reason == "its deadline ends before its recipient wants it"


async def test_a_cap_counts_what_was_sent_of_the_category_within_its_days(ledger):
    await accept(ledger, NEWS, [ask(f"old {n}", to="ada") for n in range(2)])
    await taken(ledger)
    await change(ledger, state="sent", finished_at=now())
    await accept(ledger, NEWS, [ask(to="ada"), ask(to="bob")])
    found = await taken(ledger, at_most={"count": 2, "days": 1})
    assert sent_to(found) == ["bob"]
    assert found.ended[0].reason == "2 of marketing were sent within 1 days (frequency cap)"


async def test_a_cap_counts_the_batch_itself(ledger):
    await accept(ledger, NEWS, [ask(f"news {n}", to=to) for to in ("ada", "bob") for n in range(4)])
    found = await taken(ledger, at_most={"count": 3})
    assert Counter(sent_to(found)) == {"ada": 3, "bob": 3}
    assert await states_of(ledger) == {"claimed": 6, "suppressed": 2}


async def test_a_cap_counts_what_another_run_sends(ledger):
    await accept(ledger, NEWS, [ask(f"news {n}", to="ada") for n in range(3)])
    batches = [await claims.reserve(ledger, "note", Priority.NORMAL, 1) for _ in range(3)]
    once = {Category.MARKETING: CategoryTerms.model_validate({"at_most": {"count": 1}})}
    policy = SendingPolicy.of(NEWS, once)
    found = await asyncio.gather(
        *(claims.take_up(ledger, "note", claim.id, policy=policy) for claim in batches)
    )
    assert [len(one.notifications) for one in found].count(1) == 1
    assert await states_of(ledger) == {"claimed": 1, "suppressed": 2}


async def test_a_cap_counts_what_was_sent_lately_though_it_was_accepted_weeks_before(ledger):
    await accept(ledger, NEWS, [ask(to="ada")])
    await taken(ledger)
    before = UUID(int=first_id(now() - timedelta(days=31)).int + 1)
    await change(ledger, id=before, state="sent", finished_at=now())
    await accept(ledger, NEWS, [ask(to="ada")])
    assert sent_to(await taken(ledger, at_most={"count": 1, "days": 7})) == []


async def test_without_consent_nothing_goes_where_it_is_asked_for(ledger):
    await accept(ledger, NEWS, [ask(to="ada"), ask(to="bob")])
    await chosen.choose(ledger, "", "ada", {Category.MARKETING: Preference(confirmed=True)}, "page")
    assert sent_to(await taken(ledger, confirm=True)) == ["ada"]


async def test_a_batch_costs_a_handful_of_queries(ledger):
    await accept(ledger, NEWS, [ask(to=f"r{n}") for n in range(200)])
    claim = await reserved(ledger)
    policy = SendingPolicy.of(
        NEWS, {Category.MARKETING: CategoryTerms.model_validate({"at_most": {"count": 1}})}
    )
    executed = []
    engine = getattr(ledger.engine, "sync_engine", ledger.engine)
    sa.event.listen(engine, "before_cursor_execute", lambda *given: executed.append(given[2]))
    found = await claims.take_up(ledger, "note", claim.id, policy=policy)
    assert len(found.notifications) == 200
    about = [
        text for text in executed if "preferences" in text or "suppressions" in text or "count(*)" in text
    ]
    assert len(about) == 4


async def test_a_batch_that_waits_for_hundreds_of_moments_costs_a_handful_of_statements(ledger):
    await accept(ledger, NEWS, [ask(to=f"r{n}") for n in range(200)])
    for n in range(200):
        wanted = {Category.MARKETING: Preference(Cadence.parse(f"daily at {n // 60:02}:{n % 60:02}"))}
        await chosen.choose(ledger, "", f"r{n}", wanted, "page")
    executed = []
    engine = getattr(ledger.engine, "sync_engine", ledger.engine)
    claim = await reserved(ledger)
    sa.event.listen(engine, "before_cursor_execute", lambda *given: executed.append(given[2]))
    found = await claims.take_up(ledger, "note", claim.id, policy=SendingPolicy.of(NEWS, {}))
    assert len(executed) < 20
    due = {row.id: row.due_at for row in await rows(ledger)}
    assert all(one.due == due[one.id] for one in found.ended)
    assert len(set(due.values())) == len({row.detail for row in await rows(ledger, events)}) == 200


async def test_a_damaged_choice_of_one_harms_no_other_and_is_not_sent_against(ledger):
    await accept(ledger, NEWS, [ask(to="ada"), ask(to="bob")])
    await chosen.choose(ledger, "", "ada", {Category.MARKETING: Preference()}, "api")
    await stopped.add(ledger, [stop("bob@a.example", scope=Category.PRODUCT)])
    await change(ledger, preferences, cadence="whenever")
    await change(ledger, suppressions, cause="because")
    assert sent_to(await taken(ledger)) == ["bob"]


async def test_an_unknown_zone_of_a_recipient_is_utc(ledger):
    await accept(ledger, NEWS, [ask(to="ada")])
    await run_sql(ledger, "UPDATE recipients SET timezone = 'Mars/Olympus'")
    [ended] = (await taken(ledger, quiet_hours=ALWAYS)).ended
    assert ended.reason == "quiet hours are 00:00-23:59 in UTC (quiet hours)"


LAST = {"sqlite": "'9999-12-29 23:00:00'", "postgresql": "'9999-12-29T23:00:00+00'"}
WRONG = {
    "an address": "named = '{\"email\": 5}'",
    "a moment whose next month no calendar has": "accepted_at = FAR, expires_at = FAR",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_row_that_cannot_be_decided_fails_alone(ledger, wrong):
    await accept(ledger, NEWS, [ask(to="ada"), ask(to="bob")])
    monthly = {Category.MARKETING: Preference(Cadence.parse("monthly"))}
    await chosen.choose(ledger, "", "ada", monthly, "page")
    far = LAST["postgresql" if ledger.is_postgres else "sqlite"]
    await run_sql(ledger, f"UPDATE notifications SET {wrong.replace('FAR', far)} WHERE recipient_key = 'ada'")
    found = await taken(ledger)
    assert sent_to(found) == ["bob"]
    assert [(one.key, one.state) for one in found.ended] == [("ada", "failed")]
    assert await states_of(ledger) == {"claimed": 1, "failed": 1}


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_what_a_person_cancels_as_a_run_takes_it_up_stays_cancelled(ledger):
    await accept(ledger, NEWS, [ask(to="ada"), ask(to="bob")])
    async with ledger.engine.connect() as cancelling:
        its = notifications.c.recipient_key == "ada"
        claim = await reserved(ledger)
        await cancelling.execute(sa.update(notifications).where(its).values(state="cancelled"))
        terms = {Category.MARKETING: CategoryTerms.model_validate({"quiet_hours": ALWAYS})}
        policy = SendingPolicy.of(NEWS, terms)
        taking = asyncio.create_task(claims.take_up(ledger, "note", claim.id, policy=policy))
        await until_one_waits_for_a_lock(ledger)
        await cancelling.commit()
    await taking
    assert await states_of(ledger) == {"cancelled": 1, "deferred": 1}


async def test_the_cap_of_a_client_is_not_anothers(ledger):
    await accept_all(ledger, [Candidate(NEWS, ask(to="ada"), client="shop")])
    await taken(ledger)
    await change(ledger, state="sent", finished_at=now())
    await accept_all(
        ledger, [Candidate(NEWS, ask(to="ada"), client=client) for client in ("shop", "bank", "")]
    )
    found = await taken(ledger, at_most={"count": 1})
    assert sorted(one.client for one in found.notifications) == ["", "bank"]
    waiting = sa.select(sa.func.count()).where(notifications.c.state == "suppressed")
    assert await ledger.read(lambda connection: connection.scalar(waiting)) == 1


TYPES = {Category.MARKETING: ["note"]}
OFF = {Category.MARKETING: Preference(Cadence.parse("never"))}


async def states_of(ledger):
    return Counter(row.state for row in await rows(ledger))


async def test_turning_a_category_off_stops_what_waits_is_held_deferred_or_claimed_and_nothing_else(ledger):
    await accept(ledger, NEWS, [ask(f"{n}", to="ada") for n in range(6)])
    await accept(ledger, NEWS, [ask(to="bob")])
    found = await rows(ledger)
    claim = await reserved(ledger)
    await claims.take_up(ledger, "note", claim.id)
    for row, state in zip(
        found, ("accepted", "held", "deferred", "claimed", "sending", "sent"), strict=False
    ):
        await change(ledger, notifications, notifications.c.id == row.id, state=state)
    chosen_by = Choosing("", "ada", OFF, "one click", address="ada@a.example")
    assert await choose(ledger, chosen_by, TYPES) == 4
    assert await states_of(ledger) == {"suppressed": 4, "sending": 1, "sent": 1, "claimed": 1}
    stopped_rows = [row for row in await rows(ledger) if row.state == "suppressed"]
    assert {row.reason for row in stopped_rows} == {"its category was turned off (one click)"}
    assert await choose(ledger, chosen_by, TYPES) == 0


async def test_another_id_with_that_address_is_stopped_until_it_is_turned_on_again(ledger):
    await choose(ledger, Choosing("", "ada", OFF, "one click", address="ADA@a.example"), TYPES)
    await accept(ledger, NEWS, [ask(recipient={"id": "other", "email": "ada@a.example"})])
    [ended] = (await taken(ledger)).ended
    assert ended.reason == "unsubscribe, marketing (suppression)"
    on = {Category.MARKETING: Preference()}
    await choose(ledger, Choosing("", "ada", on, "page", address="ada@a.example"), TYPES)
    await accept(ledger, NEWS, [ask(recipient={"id": "other", "email": "ada@a.example"})])
    assert sent_to(await taken(ledger)) == ["other"]


async def test_another_client_and_another_category_are_not_stopped(ledger):
    three = [Candidate(NEWS, ask(to="ada"), client=client) for client in ("shop", "bank", "")]
    await accept_all(ledger, three)
    clicked = Choosing("shop", "ada", OFF, "one click", address="ada@a.example")
    assert await choose(ledger, clicked, TYPES) == 1
    product = {Category.PRODUCT: Preference(Cadence.parse("never"))}
    assert await choose(ledger, Choosing("bank", "ada", product, "page"), TYPES) == 0
    assert sorted(one.client for one in (await taken(ledger)).notifications) == ["", "bank"]


async def test_thousands_that_wait_are_stopped_in_several_transactions(ledger):
    await accept(ledger, NEWS, [ask(f"{n}", to="ada") for n in range(2_500)])
    with changed_per_transaction(ledger) as changed:
        assert await choose(ledger, Choosing("", "ada", OFF, "one click"), TYPES) == 2_500
    assert max(changed) <= MOST
    assert await states_of(ledger) == {"suppressed": 2_500}
