"""Preferences over HTTP: what recipients and clients choose, and that a profile is changed beside them."""

from __future__ import annotations

import pytest
from support.ledger import rows
from support.requests import order

from waypost.ledger.records import suppressions
from waypost.model.category import Category, CategoryTerms
from waypost.model.suppression import Cause, Suppression

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@a.example", "name": "Ada"}
AT = "/v1/recipients/ada"
CHOSEN = f"{AT}/preferences"
OF_ALL = "/v1/preferences"
FREE = {Category.TRANSACTIONAL: CategoryTerms(optional=True)}


async def chosen(client, path=CHOSEN):
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return {name: (one["cadence"], one["channels"]) for name, one in answer.json().items()}


async def test_what_is_not_named_stays_and_null_goes_back_to_the_default(shop):
    assert await chosen(shop) == {}
    first = await shop.patch(
        CHOSEN, json={"marketing": {"cadence": "weekly"}, "product": {"channels": ["email"]}}
    )
    assert first.status_code == 200, first.text
    assert first.json()["marketing"]["chosen_by"] == "api"
    assert await chosen(shop) == {
        "marketing": ("weekly on monday at 09:00", None),
        "product": ("at once", ["email"]),
    }
    await shop.patch(CHOSEN, json={"marketing": None, "alert": {"cadence": "never"}})
    assert await chosen(shop) == {"product": ("at once", ["email"]), "alert": ("never", None)}


async def test_a_confirmation_has_its_moment_until_the_category_is_turned_off(shop):
    confirmed = await shop.patch(CHOSEN, json={"marketing": {"confirmed": True}})
    moment = confirmed.json()["marketing"]["confirmed_at"]
    assert moment
    kept = await shop.patch(CHOSEN, json={"marketing": {"cadence": "daily"}})
    assert kept.json()["marketing"]["confirmed_at"] == moment
    off = await shop.patch(CHOSEN, json={"marketing": {"cadence": "never"}})
    assert off.json()["marketing"]["confirmed_at"] is None


async def test_the_evidence_of_a_consent_stays_as_long_as_the_consent(shop):
    async def told(**changes):
        answer = await shop.patch(CHOSEN, json={"marketing": changes})
        assert answer.status_code == 200, answer.text
        [told] = (await shop.get(CHOSEN)).json().values()
        return told["evidence"], told["confirmed_at"] is not None

    form = "form of 2026-11-30, box ticked"
    assert await told(confirmed=True, evidence=form) == (form, True)
    assert await told(cadence="daily") == (form, True)
    assert await told(cadence="weekly", evidence="asked by phone") == ("asked by phone", True)
    assert await told(cadence="never") == ("", False)
    assert await told(confirmed=True) == ("", True)


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({"marketing": {"evidence": "x" * 501}}, "marketing.evidence", "longer than 500 characters"),
        ({"marketing": {"evidence": "a\0b"}}, "marketing.evidence", "it contains a NUL"),
        ({"marketing": {"evidence": None}}, "marketing.evidence", "not text"),
        (
            {"transactional": {"cadence": "never"}},
            "transactional.cadence",
            "transactional cannot be turned off; WAYPOST_CATEGORIES says which categories are optional",
        ),
        (
            {"security": {"cadence": "daily"}},
            "security",
            "it is mandatory, so nothing can be chosen for it; WAYPOST_CATEGORIES says which categories are",
        ),
        ({"marketing": {"cadence": "sometimes"}}, "marketing.cadence", "not a cadence"),
        ({"marketing": {"cadence": None}}, "marketing.cadence", "not text"),
        ({"marketing": {"channels": ["pigeon"]}}, "marketing.channels.0", "no type uses this channel"),
        ({"marketing": {"channels": []}}, "marketing.channels", "empty"),
        ({"marketing": {"often": 3}}, "marketing.often", "no such field"),
        ({"digest": {}}, "digest", "not one of"),
        ({}, "body", "empty"),
        ([], "body", "not an object"),
    ],
)
async def test_what_nobody_can_choose_is_refused_by_its_field(shop, body, path, reason):
    for place in (CHOSEN, OF_ALL):
        answer = await shop.patch(place, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
        [fault] = answer.json()["errors"]
        assert fault["path"].removesuffix(".[key]") == path
        assert fault["reason"].startswith(reason)


async def test_turning_a_category_off_stops_what_waits(site_with):
    async with site_with(categories=FREE) as site:
        shop = await site.client()
        for to in ("ada", "bob"):
            who = {"id": to, "email": f"{to}@a.example"}
            body = {"type": "order-confirmation", "recipient": who, "data": order("A-1")["data"]}
            assert (await shop.post("/v1/notifications", json=body)).status_code == 202
        assert (await shop.patch(CHOSEN, json={"transactional": {"cadence": "never"}})).status_code == 200
        states = {row.recipient_key: (row.state, row.reason) for row in await rows(site.ledger)}
        assert states["ada"] == ("suppressed", "its category was turned off (api)")
        assert states["bob"][0] == "accepted"


async def test_turning_a_category_on_lifts_the_one_click_of_its_address_and_no_other_suppression(site, shop):
    await shop.put(AT, json=ADA)
    stop = {"address": "ada@a.example", "client": "shop", "scope": Category.MARKETING}
    mine = [Suppression(**stop, cause=cause) for cause in (Cause.UNSUBSCRIBE, Cause.COMPLAINT)]
    others = Suppression(**stop | {"client": "bank"}, cause=Cause.UNSUBSCRIBE)
    await suppressions.add(site.ledger, [*mine, others])
    await shop.patch(CHOSEN, json={"marketing": {"cadence": "at once"}})
    left = [(one.client, one.cause) async for one in suppressions.each(site.ledger)]
    assert left == [("bank", "unsubscribe"), ("shop", "complaint")]


async def test_it_lifts_those_of_the_further_addresses_too(site, shop):
    await shop.put(AT, json=ADA | {"addresses": [{"address": "ada@home.example"}]})
    stop = Suppression(address="ada@home.example", client="shop", scope="marketing", cause=Cause.UNSUBSCRIBE)
    await suppressions.add(site.ledger, [stop])
    await shop.patch(CHOSEN, json={"marketing": {"cadence": "at once"}})
    assert [one async for one in suppressions.each(site.ledger)] == []


async def test_what_a_client_chooses_for_all_is_its_own_and_no_recipients(site, shop):
    bank = await site.client("bank")
    assert (await shop.patch(OF_ALL, json={"marketing": {"cadence": "never"}})).status_code == 200
    assert await chosen(shop, OF_ALL) == {"marketing": ("never", None)}
    assert await chosen(shop) == await chosen(bank, OF_ALL) == {}


async def test_a_recipient_without_an_id_is_named_by_its_address(shop):
    path = "/v1/recipients/mailto:ADA@a.example/preferences"
    await shop.patch(path, json={"marketing": {"cadence": "never"}})
    assert await chosen(shop, "/v1/recipients/mailto:ada@a.example/preferences") == {
        "marketing": ("never", None)
    }


async def test_an_id_may_end_in_preferences_if_its_slash_is_escaped(shop):
    odd = "/v1/recipients/ada%2Fpreferences"
    assert (await shop.put(odd, json=ADA)).status_code == 201
    assert (await shop.get(odd)).json()["id"] == "ada/preferences"
    assert (await shop.patch(odd, json={"name": None})).json()["name"] is None
    assert (await shop.patch(f"{odd}/preferences", json={"alert": {"cadence": "never"}})).status_code == 200
    assert await chosen(shop) == {}
    assert (await shop.delete(odd)).status_code == 204
    assert await chosen(shop, f"{odd}/preferences") == {}
    for method in ("PUT", "DELETE", "POST"):
        answer = await shop.request(method, CHOSEN, json=ADA)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed"), method
        assert {"GET", "PATCH"} <= set(answer.headers["allow"].split(", "))


async def test_a_key_without_manage_may_neither_see_nor_choose(site):
    reader = await site.client("shop", "send", "read")
    for path in (CHOSEN, OF_ALL):
        assert (await reader.get(path)).status_code == 403
        assert (await reader.patch(path, json={"marketing": None})).status_code == 403


async def test_a_patched_profile_keeps_what_is_not_named(shop):
    made = await shop.patch(AT, json=ADA)
    assert (made.status_code, made.json()["name"]) == (201, "Ada")
    changed = await shop.patch(AT, json={"phone": "+49301234567", "name": None})
    assert changed.status_code == 200
    told = changed.json()
    assert (told["email"], told["phone"], told["name"]) == ("ada@a.example", "+49301234567", None)
    assert (await shop.get(AT)).json() == told
    for body, status in (({}, 422), ({"email": "nobody"}, 422), ({"id": "bob"}, 422), ([], 422)):
        assert (await shop.patch(AT, json=body)).status_code == status
    assert (await shop.patch("/v1/recipients/bob", json={"name": None})).status_code == 404


async def test_putting_a_profile_keeps_the_choices_and_forgetting_it_does_not(site, shop):
    await shop.put(AT, json=ADA)
    await shop.patch(CHOSEN, json={"marketing": {"cadence": "never"}})
    await suppressions.add(site.ledger, [Suppression(address="ada@a.example", client="shop")])
    await shop.put(AT, json={"name": "Ada L."})
    assert await chosen(shop) == {"marketing": ("never", None)}
    assert (await shop.delete(AT)).status_code == 204
    assert await chosen(shop) == {}
    assert [one.address async for one in suppressions.each(site.ledger)] == ["ada@a.example"]
    await shop.patch(CHOSEN, json={"marketing": {"cadence": "never"}})
    assert (await shop.delete(AT)).status_code == 204
    assert (await shop.delete(AT)).status_code == 404
