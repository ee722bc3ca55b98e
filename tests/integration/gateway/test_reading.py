"""Looking up, listing and withdrawing: a client sees its own, each page follows the one before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from support.delivery import VERSION, delivered
from support.requests import alert, order

from waypost.system.clock import now

pytestmark = pytest.mark.anyio

ROUTE = "/v1/notifications"


async def sent(client, number="A-1", **more) -> str:
    answer = await client.post(ROUTE, json={"type": "order-confirmation", **order(number), **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def listed(client, **query) -> list[str]:
    answer = await client.get(ROUTE, params=query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["notifications"]]


async def test_one_is_told_with_its_attempts_and_no_address(site, shop):
    id = await sent(shop)
    before = (await shop.get(f"{ROUTE}/{id}")).json()
    assert (before["state"], before["attempts"], before["finished_at"]) == ("accepted", [], None)
    await delivered(site.ledger, "order-confirmation")
    answer = await shop.get(f"{ROUTE}/{id}")
    told = answer.json()
    [attempt] = told["attempts"]
    assert (told["state"], told["type"], told["priority"]) == ("sent", "order-confirmation", "normal")
    assert (attempt["number"], attempt["channel"], attempt["provider"]) == (1, "email", "primary")
    assert (attempt["verdict"], attempt["code"]) == ("accepted", 250)
    assert attempt["template_version"] == VERSION
    assert "rA-1@a.example" not in answer.text
    assert "ada@a.example" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_another_clients_are_as_those_that_never_were(site, shop):
    id = await sent(shop)
    other = await site.client("blog")
    for method, path in (("GET", ""), ("POST", "/cancel")):
        theirs = await other.request(method, f"{ROUTE}/{id}{path}")
        nobodys = await other.request(method, f"{ROUTE}/{uuid4()}{path}")
        assert (theirs.status_code, theirs.json()) == (404, nobodys.json())
    assert await listed(other) == []
    assert await listed(other, recipient="r-A-1") == []
    assert (await shop.get(f"{ROUTE}/{id}")).json()["state"] == "accepted"


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "order-confirmation"},
        {"state": "sent"},
        {"state": ["sent", "failed"]},
        {"recipient": "r-A-1"},
        {"tag": "spring"},
        {"state": "sent", "type": "order-confirmation", "tag": "spring", "recipient": "r-A-1"},
    ],
)
async def test_each_filter_finds_what_it_means(site, shop, wanted):
    id = await sent(shop, tags=["spring", "sale"])
    await delivered(site.ledger, "order-confirmation")
    await shop.post(ROUTE, json={"type": "alert", **alert()})
    assert await listed(shop, **wanted) == [id]
    assert len(await listed(shop)) == 2


@pytest.mark.parametrize(
    ("recipient", "asked"),
    [
        ({"email": "Ada@a.example"}, ["ada@A.example", "mailto:ada@a.example"]),
        ({"email": "Éva@bücher.example"}, ["éva@BÜCHER.example", "ÉVA@xn--bcher-kva.example"]),
        ({"email": "İ@a.example"}, ["İ@A.example"]),
        ({"phone": "+49 (170) 123-4512"}, ["+491701234512", "tel:+49-170-1234512", "+49 170 1234512"]),
        ({"phone": "0170 1234512"}, ["01701234512"]),
        ({"id": "ada@home", "email": "ada@a.example"}, ["ada@home"]),
        ({"id": "ada@b.example", "email": "ada@a.example"}, ["ada@b.example"]),
        ({"id": "0170", "email": "ada@a.example"}, ["0170"]),
    ],
)
async def test_a_filter_by_recipient_finds_an_id_or_an_address_however_it_is_written(shop, recipient, asked):
    body = {"type": "order-confirmation", **order("A-1"), "recipient": recipient}
    id = (await shop.post(ROUTE, json=body)).json()["id"]
    await sent(shop, "A-2")
    assert [await listed(shop, recipient=text) for text in asked] == [[id]] * len(asked)


async def test_an_empty_filter_finds_nothing(shop):
    await sent(shop)
    assert await listed(shop, recipient="") == []


async def test_since_and_until_are_moments_of_acceptance(shop):
    first = await sent(shop, "A-1")
    await asyncio.sleep(0.05)
    between = now().isoformat()
    await asyncio.sleep(0.05)
    second = await sent(shop, "A-2")
    assert await listed(shop, since=between) == [second]
    assert await listed(shop, until=between) == [first]
    assert await listed(shop, since=(now() + timedelta(days=1)).isoformat()) == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("after=nonsense", "after"),
        ("after=", "after"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("state=lost", "state"),
        ("stat=sent", "stat"),
        ("type=%00", "type"),
        ("tag=%00", "tag"),
        ("recipient=%00@a.example", "recipient"),
        ("since=2026-01-01", "since"),
        ("since=1700000000", "since"),
        ("until=nan", "until"),
        ("until=9999-12-31T23:59:59Z", "until"),
        ("since=0001-01-01T00:00:00%2B23:59", "since"),
        ("type=a&type=b", "type"),
    ],
)
async def test_what_cannot_be_asked_is_named(shop, query, path):
    answer = await shop.get(f"{ROUTE}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert answer.json()["errors"][0]["path"] == path


@pytest.mark.parametrize(
    "query", ["type=%FF", "tag=%ED%A0%80", "recipient=%F0%9F%92%A9", "state=sent&state=sent"]
)
async def test_what_is_odd_finds_nothing(shop, query):
    assert (await shop.get(f"{ROUTE}?{query}")).json() == {"notifications": [], "next": None}


async def test_pages_have_each_once_while_more_come_in(shop):
    wanted = [await sent(shop, f"A-{number}") for number in range(25)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await shop.get(ROUTE, params={"limit": 4, **cursor})).json()
        found += [one["id"] for one in page["notifications"]]
        await sent(shop, f"B-{len(found)}")
        if page["next"] is None:
            break
        cursor = {"after": page["next"]}
    assert found == wanted[::-1]


async def test_a_page_that_is_just_full_is_the_last(shop):
    for number in range(4):
        await sent(shop, f"A-{number}")
    assert (await shop.get(ROUTE, params={"limit": 4})).json()["next"] is None
    assert (await shop.get(ROUTE, params={"limit": 3})).json()["next"] is not None


async def test_what_waits_is_withdrawn_and_twice_is_the_same(site, shop):
    id = await sent(shop)
    answers = [await shop.post(f"{ROUTE}/{id}/cancel") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json() == {"id": id, "state": "cancelled"}
    assert (await shop.get(f"{ROUTE}/{id}")).json()["state"] == "cancelled"


async def test_what_was_sent_cannot_be_withdrawn_and_is_told_why(site, shop):
    id = await sent(shop)
    assert await delivered(site.ledger, "order-confirmation") == [UUID(id)]
    answer = await shop.post(f"{ROUTE}/{id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-cancellable")
    assert "sent" in answer.json()["detail"]


async def test_scopes_for_one_type_open_that_type_alone(site, shop):
    id, _ = await sent(shop), await shop.post(ROUTE, json={"type": "alert", **alert()})
    alerts = await site.client("shop", "read:alert", "manage:alert")
    assert (await alerts.get(ROUTE)).status_code == 403
    assert len(await listed(alerts, type="alert")) == 1
    assert (await alerts.get(ROUTE, params={"type": "order-confirmation"})).status_code == 403
    assert (await alerts.get(f"{ROUTE}/{id}")).status_code == 403
    assert (await alerts.post(f"{ROUTE}/{id}/cancel")).status_code == 403
    reader = await site.client("shop", "read")
    refused = await reader.post(f"{ROUTE}/{id}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await reader.post(ROUTE, json={"type": "alert", **alert()})).status_code == 403


@pytest.mark.parametrize("id", ["nonsense", "%00", "..", "%2E%2E", "0" * 5000, "1", "batch/cancel", "%FF"])
async def test_an_id_that_is_none_is_not_found(shop, id):
    answer = await shop.get(f"{ROUTE}/{id}")
    assert answer.status_code in (404, 405), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_types_are_told_with_their_schemas(site):
    client = await site.client("shop", "send:alert")
    types = {one["type"]: one for one in (await client.get("/v1/types")).json()["types"]}
    assert {"alert", "order-confirmation", "signup-verification"} <= types.keys()
    told = types["order-confirmation"]
    assert "order_id" in told["schema"]["required"]
    assert (told["category"], told["channels"][0]) == ("transactional", "email")
