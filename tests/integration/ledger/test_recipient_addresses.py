"""Several addresses of a recipient: listed, verified by a code, and gone with their recipient."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from support.ledger import LONG_AGO, NOTE, ask, change, rows
from support.minted_codes import ADA, CODED, attempted, key_of, sent

from waypost import Recipient
from waypost.ledger.database.tables import recipient_addresses as table
from waypost.ledger.database.tables import recipients as recipients_table
from waypost.ledger.database.tables import suppressions as suppressions_table
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations import recipient_export
from waypost.ledger.operations.retention import prune
from waypost.ledger.records import recipients, suppressions
from waypost.ledger.records.verification_codes import Checked
from waypost.model.profile import Profile
from waypost.model.suppression import Suppression
from waypost.system.clock import now
from waypost.verification.codes import verify, verify_link

pytestmark = pytest.mark.anyio
HOME, WORK, PHONE = "ada@home.example", "ada@work.example", "+4930123456"


def listed(*addresses, verified=None):
    return [{"address": one, "verified": verified} for one in addresses]


async def patched(ledger, id="ada", client="", **fields):
    return await recipients.patch(ledger, Profile(id=id, **fields), fields, client)


async def told(ledger, key="ada", client=""):
    """Each address, whether it is the main one, and whether it is verified."""
    found = await recipients.get(ledger, key, client)
    return [(one["address"], one["main"], one["verified"]) for one in found["addresses"]]


async def test_the_main_addresses_come_first_and_the_others_in_their_order(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed(WORK, PHONE, HOME))
    assert await told(ledger) == [
        ("ada@a.example", True, False),
        (WORK, False, False),
        (PHONE, False, False),
        (HOME, False, False),
    ]
    found = (await recipients.get(ledger, "ada"))["addresses"]
    assert [one["kind"] for one in found] == ["email", "email", "phone", "email"]


async def test_a_list_replaces_the_list_and_nothing_else(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed(WORK, HOME, verified=True))
    await patched(ledger, name="Ada")
    assert len(await told(ledger)) == 3
    stored = await patched(ledger, addresses=[*listed(HOME), *listed(PHONE)])
    assert (stored.new, stored.fields["email"], stored.fields["name"]) == (False, "ada@a.example", "Ada")
    assert (await told(ledger))[1:] == [(HOME, False, True), (PHONE, False, False)]
    await patched(ledger, addresses=None)
    assert await told(ledger) == [("ada@a.example", True, False)]
    assert await rows(ledger, table) == []


async def test_put_replaces_the_list_too(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed(WORK))
    await recipients.put(ledger, Profile(id="ada", email="ada@a.example"))
    assert await told(ledger) == [("ada@a.example", True, False)]


async def test_a_main_address_that_put_leaves_as_it_is_stays_verified(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed("ada@a.example", WORK, verified=True))
    await recipients.put(ledger, Profile(id="ada", email="ADA@a.example"))
    assert await told(ledger) == [("ADA@a.example", True, True)]
    assert [row.address for row in await rows(ledger, table)] == [None]
    await recipients.put(ledger, Profile(id="ada", email="new@a.example"))
    assert await told(ledger) == [("new@a.example", True, False)]
    assert await rows(ledger, table) == []


async def test_a_recipient_may_have_further_addresses_alone(ledger):
    assert await patched(ledger, addresses=[]) is None
    assert (await patched(ledger, addresses=listed(HOME))).new
    assert not (await patched(ledger, addresses=listed(HOME, WORK))).new
    assert [one for one, *_ in await told(ledger)] == [HOME, WORK]
    assert await recipients.forget(ledger, "ada")
    assert await recipients.get(ledger, "ada") is None


async def test_one_address_in_two_spellings_is_one_and_the_later_counts(ledger):
    await patched(ledger, addresses=[*listed("Ada@home.example"), *listed(HOME, verified=True)])
    assert await told(ledger) == [(HOME, False, True)]


async def test_the_state_of_a_main_address_is_set_by_the_list(ledger):
    await patched(ledger, email=HOME, addresses=listed("ADA@home.example", verified=True))
    [(_, main, verified)] = await told(ledger)
    assert (main, verified) == (True, True)
    await patched(ledger, addresses=listed(HOME, verified=False))
    assert await told(ledger) == [(HOME, True, False)]


async def test_verified_stays_when_it_is_not_named_and_keeps_its_moment(ledger):
    await patched(ledger, addresses=listed(HOME, verified=True))
    await change(ledger, table, verified_at=LONG_AGO)
    await patched(ledger, addresses=listed(WORK, HOME))
    await patched(ledger, addresses=listed(HOME, verified=True))
    [one] = (await recipients.get(ledger, "ada"))["addresses"]
    assert one["verified_at"] == LONG_AGO


async def test_an_address_that_becomes_the_main_one_is_as_verified_as_it_was(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed(HOME, verified=True))
    await patched(ledger, email=HOME)
    assert await told(ledger) == [(HOME, True, True)]
    await patched(ledger, email="new@a.example")
    assert await told(ledger) == [("new@a.example", True, False), (HOME, False, True)]


async def test_recipients_of_another_client_have_their_own(ledger):
    await patched(ledger, client="shop", email="ada@a.example", addresses=listed(HOME, verified=True))
    await patched(ledger, email="ada@a.example")
    assert await told(ledger) == [("ada@a.example", True, False)]
    assert len(await told(ledger, client="shop")) == 2


async def test_changes_at_once_leave_one_of_the_lists(ledger):
    await patched(ledger, email="ada@a.example")
    lists = [[f"{letter}{number}@home.example" for number in range(5)] for letter in "abcdef"]
    await asyncio.gather(*(patched(ledger, addresses=listed(*one)) for one in lists))
    assert [one for one, main, _ in await told(ledger) if not main] in lists


async def clicked(ledger, link):
    [token] = parse_qs(urlsplit(link).query)["token"]
    return await verify_link(ledger, key_of(ledger), token)


async def code_of_shop(ledger, address):
    """The code that a client's request sent to an address of ada."""
    request = ask(recipient=Recipient(id="ada", email=address))
    await accept_all(ledger, [Candidate(CODED, request, "shop")])
    return (await attempted(ledger))["code"]


@pytest.mark.parametrize("by", ["code", "link"])
async def test_a_confirmed_code_or_link_verifies_the_main_address(ledger, by):
    made = await sent(ledger)
    assert await told(ledger) == [("ada@a.example", True, False)]
    before = now()
    if by == "code":
        assert await verify(ledger, key_of(ledger), "ada", made["code"]) is Checked.VERIFIED
    else:
        assert await clicked(ledger, made["link"]) is Checked.VERIFIED
    [one] = (await recipients.get(ledger, "ada"))["addresses"]
    assert before <= one["verified_at"] <= now()
    assert one["main"]


async def test_a_wrong_code_verifies_nothing(ledger):
    made = await sent(ledger)
    wrong = f"{(int(made['code']) + 1) % 10**6:06}"
    assert await verify(ledger, key_of(ledger), "ada", wrong) is Checked.WRONG
    assert await told(ledger) == [("ada@a.example", True, False)]


async def test_a_code_that_went_to_a_further_address_verifies_that_one(ledger):
    await patched(ledger, client="shop", email="ada@a.example", addresses=listed(WORK, HOME))
    code = await code_of_shop(ledger, "Ada@home.example")
    assert await verify(ledger, key_of(ledger), HOME, code) is Checked.VERIFIED
    assert (await told(ledger, client="shop"))[1:] == [(WORK, False, False), (HOME, False, True)]


async def test_a_code_that_went_elsewhere_verifies_nothing(ledger):
    await patched(ledger, client="shop", email="ada@a.example", addresses=listed(WORK))
    code = await code_of_shop(ledger, HOME)
    assert await verify(ledger, key_of(ledger), HOME, code) is Checked.VERIFIED
    assert await told(ledger, client="shop") == [("ada@a.example", True, False), (WORK, False, False)]


async def test_a_new_main_address_is_not_verified_and_the_former_one_is_not_kept(ledger):
    code = (await sent(ledger))["code"]
    assert await verify(ledger, key_of(ledger), "ada", code) is Checked.VERIFIED
    await patched(ledger, name="Ada")
    assert await told(ledger) == [("ada@a.example", True, True)]
    await patched(ledger, email="new@a.example")
    assert await told(ledger) == [("new@a.example", True, False)]
    assert await rows(ledger, table) == []
    await patched(ledger, email="ada@a.example")
    assert await told(ledger) == [("ada@a.example", True, False)]


async def test_a_main_address_that_a_request_changes_is_not_verified(ledger):
    code = (await sent(ledger))["code"]
    assert await verify(ledger, key_of(ledger), "ada", code) is Checked.VERIFIED
    await accept(ledger, NOTE, [ask(recipient=Recipient(id="ada", email="new@a.example"))])
    assert await told(ledger) == [("new@a.example", True, False)]
    assert [row.address for row in await rows(ledger, table)] == [None]


async def test_a_recipient_without_an_id_is_verified_too(ledger):
    code = (await sent(ledger, Recipient(email="ada@a.example")))["code"]
    assert await verify(ledger, key_of(ledger), "ada@a.example", code) is Checked.VERIFIED
    assert await told(ledger, "mailto:ada@a.example") == [("ada@a.example", True, True)]


async def test_nothing_is_left_of_a_recipient_that_is_forgotten(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed(HOME, verified=True))
    await patched(ledger, "bob", addresses=listed(WORK))
    await suppressions.add(ledger, [Suppression(address=HOME, evidence="it bounced")])
    assert await recipients.forget(ledger, "ada")
    assert {row.key for row in await rows(ledger, table)} == {"bob"}
    [row] = await rows(ledger, suppressions_table)
    assert (row.shown, row.evidence) == (None, "")
    await patched(ledger, email="ada@a.example", addresses=listed(HOME))
    assert await told(ledger) == [("ada@a.example", True, False), (HOME, False, False)]


async def test_addresses_go_with_a_recipient_of_long_ago(ledger):
    for id in ("ada", "bob"):
        await patched(ledger, id, addresses=listed(HOME))
    old = recipients_table.c.key == "ada"
    await change(ledger, recipients_table, old, updated_at=now() - timedelta(days=9))
    await prune(ledger, 1)
    assert {row.key for row in await rows(ledger, table)} == {"bob"}


async def test_an_export_has_the_addresses_and_their_suppressions(ledger):
    await patched(ledger, email=ADA.email, addresses=listed(HOME, verified=True))
    await suppressions.add(ledger, [Suppression(address=HOME)])
    about = await recipient_export.about(ledger, "ada")
    assert [one["address"] for one in about["recipient"]["addresses"]] == [ADA.email, HOME]
    assert [one["address"] for one in about["suppressions"]] == [HOME]


async def test_an_import_leaves_them(ledger):
    await patched(ledger, email="ada@a.example", addresses=listed(HOME, verified=True))
    await recipients.add_all(ledger, [Profile(id="ada", email="new@a.example")])
    assert await told(ledger) == [("new@a.example", True, False), (HOME, False, True)]
