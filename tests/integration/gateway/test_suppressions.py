"""Suppressions over HTTP: a client keeps its own, and learns and changes nothing of others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from waypost.ledger.records import suppressions
from waypost.model.suppression import Cause, Suppression
from waypost.system.clock import now

pytestmark = pytest.mark.anyio

LIST = "/v1/suppressions"
ADA = f"{LIST}/ADA@a.example"


async def listed(client, **query):
    answer = await client.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["suppressions"]


async def test_a_client_adds_sees_and_lifts_its_own(shop):
    until = (now() + timedelta(days=1)).isoformat()
    body = {"category": "marketing", "cause": "complaint", "reason": "by phone", "expires_at": until}
    made = await shop.put(ADA, json=body)
    assert made.status_code == 200, made.text
    assert (await shop.put(ADA, json={})).json()["cause"] == "manual"
    [both, marketing] = await listed(shop)
    assert (both["address"], both["category"], both["for_all_clients"]) == ("ada@a.example", None, False)
    assert {name: marketing[name] for name in ("category", "cause", "reason")} == {
        name: body[name] for name in ("category", "cause", "reason")
    }
    assert (await shop.delete(ADA, params={"cause": "complaint"})).status_code == 204
    assert len(await listed(shop)) == 1
    assert (await shop.delete(ADA)).status_code == 204
    again = await shop.delete(ADA)
    assert (again.status_code, again.json()["code"]) == (404, "not-found")


async def test_a_client_learns_and_changes_nothing_of_another(site, shop):
    bank = await site.client("bank")
    await bank.put(ADA, json={"reason": "of the bank"})
    assert await listed(shop) == await listed(shop, address="ada@a.example") == []
    assert (await shop.delete(ADA)).status_code == 404
    await shop.put(ADA, json={"reason": "of the shop"})
    assert [one["reason"] for one in await listed(bank)] == ["of the bank"]


async def test_one_for_all_clients_is_seen_at_a_named_address_alone_and_not_lifted(site, shop):
    bounce = Suppression(address="ada@a.example", cause=Cause.HARD_BOUNCE, evidence="smtp: 550 5.1.1 no")
    await suppressions.add(site.ledger, [bounce])
    assert await listed(shop) == []
    [one] = await listed(shop, address="ada@A.example", cause="hard bounce")
    assert (one["for_all_clients"], one["reason"]) == (True, "")
    refused = await shop.delete(ADA)
    assert refused.status_code == 404
    assert "`waypost suppressions remove`" in refused.json()["detail"]
    assert len(await listed(shop, address="ada@a.example")) == 1


async def test_pages_follow_each_other(shop):
    for name in ("c", "a", "b", "+49301234567"):
        assert (
            await shop.put(f"{LIST}/{name if name[0] == '+' else name + '@a.example'}", json={})
        ).is_success
    sizes, found, after = [], set(), {}
    while True:
        page = (await shop.get(LIST, params={"limit": 3, **after})).json()
        sizes.append(len(page["suppressions"]))
        found |= {one["address"] for one in page["suppressions"]}
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert (sizes, found) == ([3, 1], {"a@a.example", "b@a.example", "c@a.example", "+49301234567"})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"category": "digest"}, "category"),
        ({"cause": "because"}, "cause"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"client": "*"}, "client"),
    ],
)
async def test_a_wrong_field_is_named(shop, body, path):
    answer = await shop.put(ADA, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [fault["path"] for fault in answer.json()["errors"]] == [path]


@pytest.mark.parametrize(
    ("method", "path", "fault"),
    [
        ("PUT", "/nobody", "address"),
        ("DELETE", "/nobody", "address"),
        ("GET", "?address=nobody", "address"),
        ("GET", "?after=nothing", "after"),
        ("GET", "?cause=manual&cause=complaint", "cause"),
        ("GET", "?client=bank", "client"),
        ("GET", "?limit=0", "limit"),
    ],
)
async def test_a_wrong_address_or_parameter_is_named(shop, method, path, fault):
    answer = await shop.request(method, LIST + path, json={} if method == "PUT" else None)
    assert answer.status_code == 422, answer.text
    assert [one["path"] for one in answer.json()["errors"]] == [fault]


async def test_a_key_without_manage_may_do_nothing(site):
    reader = await site.client("shop", "send", "read")
    for method, path in (("GET", LIST), ("PUT", ADA), ("DELETE", ADA)):
        assert (await reader.request(method, path)).status_code == 403
