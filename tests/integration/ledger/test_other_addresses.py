"""A main address with a hard bounce: what goes to another verified address of the recipient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from support.ledger import LONG_AGO, NOTE, ask, change, reserved, rows, run_sql
from support.minted_codes import CODED

from waypost import Priority, Recipient
from waypost.ledger.database.tables import events, notifications
from waypost.ledger.database.tables import recipient_addresses as table
from waypost.ledger.database.tables import suppressions as suppressions_table
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations import timeline
from waypost.ledger.queue import claims
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.ledger.records import preferences, recipients, suppressions
from waypost.model.cadence import Cadence
from waypost.model.category import Category
from waypost.model.permission import Preference
from waypost.model.profile import Profile
from waypost.model.suppression import Cause, Suppression

pytestmark = pytest.mark.anyio
NEWS = replace(NOTE, category=Category.MARKETING, priority=Priority.NORMAL, route=("email", "sms"))
CODE = replace(NOTE, category=Category.SECURITY, priority=Priority.NORMAL)
MAIN, WORK, HOME = "ada@a.example", "ada@work.example", "ada@home.example"
WHY = "to another verified email of its recipient: the main one has a hard bounce"


def verified(*addresses):
    return [{"address": one, "verified": True} for one in addresses]


async def known(ledger, *addresses, id="ada", client="", **fields):
    """A recipient whose further addresses are verified."""
    given = {"email": f"{id}@a.example", "addresses": verified(*addresses), **fields}
    await recipients.patch(ledger, Profile(id=id, **given), given, client)


async def stop(ledger, *addresses, **more):
    more = {"cause": Cause.HARD_BOUNCE, **more}
    await suppressions.add(ledger, [Suppression(address=one, **more) for one in addresses])


async def asked(ledger, *ids, type=NEWS, client=""):
    requests = [ask(recipient=Recipient(id=id)) for id in ids or ["ada"]]
    await accept_all(ledger, [Candidate(type, one, client) for one in requests])


async def taken(ledger, type=NEWS):
    claim = await reserved(ledger)
    assert claim is not None
    return await claims.take_up(ledger, "note", claim.id, policy=SendingPolicy.of(type, {}, [type]))


async def sent_to(ledger, type=NEWS):
    return [one.recipient.email for one in (await taken(ledger, type)).notifications]


async def test_it_goes_to_the_first_that_is_verified_and_explain_says_why(ledger):
    unverified = {"address": "ada@new.example"}
    await known(ledger, addresses=[unverified, *verified(WORK, HOME)])
    await stop(ledger, MAIN)
    await asked(ledger)
    [one] = (await taken(ledger)).notifications
    assert (one.recipient.email, one.recipient.key, one.rule) == (WORK, "ada", "default")
    assert [(row.what, row.detail) for row in await rows(ledger, events)] == [("redirected", WHY)]
    story = await timeline.explain(ledger, one.id)
    assert (WHY, "redirected") in {(line.detail, line.what) for line in story.timeline}


async def test_one_with_a_hard_bounce_is_passed_over(ledger):
    await known(ledger, WORK, HOME)
    await stop(ledger, MAIN)
    await stop(ledger, "ADA@work.example", scope=Category.MARKETING, client="")
    await asked(ledger)
    assert await sent_to(ledger) == [HOME]


@pytest.mark.parametrize(
    "more", [{"scope": Category.PRODUCT}, {"client": "another"}, {"expires_at": LONG_AGO}]
)
async def test_a_suppression_of_something_else_does_not_count(ledger, more):
    await known(ledger, WORK, HOME)
    await stop(ledger, MAIN)
    await stop(ledger, WORK, **more)
    await asked(ledger)
    assert await sent_to(ledger) == [WORK]


async def test_without_any_other_it_is_suppressed_as_before(ledger):
    await known(ledger, "+4930123456")
    await stop(ledger, MAIN)
    await asked(ledger)
    [ended] = (await taken(ledger)).ended
    assert ended.reason == "hard bounce, all categories (suppression)"
    assert await rows(ledger, events) == []


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.HARD_BOUNCE}))
async def test_another_cause_is_not_evaded(ledger, cause):
    await known(ledger, WORK)
    await stop(ledger, MAIN)
    await stop(ledger, MAIN, cause=cause)
    await asked(ledger)
    assert await sent_to(ledger) == []


async def test_what_is_in_doubt_stays_with_the_address_that_may_have_got_it(ledger):
    await known(ledger, WORK)
    await stop(ledger, MAIN)
    await asked(ledger)
    await change(ledger, notifications, in_doubt=1)
    assert await sent_to(ledger) == []


@pytest.mark.parametrize("lifted", [False, True])
async def test_once_redirected_it_stays_with_that_address(ledger, lifted):
    """Also in doubt, and also if the main address works again: nothing arrives at two addresses."""
    await known(ledger, WORK)
    await stop(ledger, MAIN)
    await asked(ledger)
    assert await sent_to(ledger) == [WORK]
    if lifted:
        await ledger.write(lambda connection: connection.execute(sa.delete(suppressions_table)))
    await change(ledger, notifications, in_doubt=1, state="accepted", batch_id=None)
    assert await sent_to(ledger) == [WORK]
    assert [row.what for row in await rows(ledger, events)] == ["redirected"]


@pytest.mark.parametrize("cause", [Cause.COMPLAINT, Cause.UNSUBSCRIBE])
async def test_a_complaint_at_a_further_address_is_not_evaded_either(ledger, cause):
    await known(ledger, WORK, HOME)
    await stop(ledger, MAIN)
    await stop(ledger, WORK, cause=cause)
    await asked(ledger)
    assert await sent_to(ledger) == []


async def test_an_address_that_the_request_named_is_not_replaced(ledger):
    await known(ledger, WORK)
    await stop(ledger, MAIN)
    await accept(ledger, NEWS, [ask(recipient=Recipient(id="ada", email=MAIN))])
    assert await sent_to(ledger) == []


@pytest.mark.parametrize("type", [CODE, replace(CODED, priority=Priority.NORMAL)])
async def test_what_is_mandatory_or_proves_an_address_is_not_redirected(ledger, type):
    await known(ledger, WORK)
    await stop(ledger, MAIN)
    await asked(ledger, type=type)
    assert WORK not in await sent_to(ledger, type)


async def test_a_number_is_replaced_by_a_number(ledger):
    await known(ledger, WORK, "+4930999999", phone="+4930123456")
    await stop(ledger, MAIN, "+4930123456")
    await asked(ledger)
    [one] = (await taken(ledger)).notifications
    assert (one.recipient.email, one.recipient.phone) == (WORK, "+4930999999")


async def test_what_is_not_wanted_is_not_sent_there_either(ledger):
    await known(ledger, WORK)
    await stop(ledger, MAIN)
    never = {Category.MARKETING: Preference(Cadence.parse("never"))}
    await preferences.choose(ledger, "", "ada", never, "page")
    await asked(ledger)
    assert await sent_to(ledger) == []
    assert await rows(ledger, events) == []


async def test_a_recipient_of_the_same_id_of_another_client_lends_nothing(ledger):
    await known(ledger, WORK)
    await known(ledger, client="shop")
    await stop(ledger, MAIN)
    await asked(ledger)
    await asked(ledger, client="shop")
    assert await sent_to(ledger) == [WORK]


async def test_a_damaged_address_is_passed_over(ledger):
    await known(ledger, WORK, HOME)
    await stop(ledger, MAIN)
    await run_sql(ledger, "UPDATE recipient_addresses SET address = 'sealed:1:tests:x' WHERE place = 0")
    await asked(ledger)
    assert await sent_to(ledger) == [HOME]


async def test_a_batch_costs_one_query_and_none_while_nothing_is_suppressed(ledger):
    people = [f"r{number}" for number in range(100)]
    for id in people:
        await known(ledger, f"{id}@work.example", id=id)
    executed = []
    engine = getattr(ledger.engine, "sync_engine", ledger.engine)
    sa.event.listen(engine, "before_cursor_execute", lambda *given: executed.append(given[2]))

    async def looked():
        await asked(ledger, *people)
        executed.clear()
        found = await sent_to(ledger)
        return len(found), sum("recipient_addresses" in text for text in executed)

    assert await looked() == (100, 0)
    await stop(ledger, *(f"{id}@a.example" for id in people[:60]))
    assert await looked() == (100, 1)
    await change(ledger, table, verified_at=None)
    assert await looked() == (40, 1)
