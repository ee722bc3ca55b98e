"""One notification over HTTP: durable when it is answered, once per key, and told what is wrong."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from support.ledger import rows, run_sql
from support.requests import alert, order

from waypost.gateway.memory_budget import SHARE
from waypost.ledger.database.tables import notifications, tags
from waypost.system.clock import now

pytestmark = pytest.mark.anyio


def asking(id="A-1", **more):
    return {"type": "order-confirmation", **order(id), **more}


async def test_what_is_answered_is_a_row(site, shop):
    body = asking(**order("A-1", phone="+15550100"), tags=["spring"], channels=["sms"])
    answer = await shop.post("/v1/notifications", json=body)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    [row] = await rows(site.ledger)
    assert (str(row.id), row.client, row.channels) == (answer.json()["id"], "shop", ["sms"])
    assert answer.headers["location"] == f"/v1/notifications/{row.id}"
    assert [one.tag for one in await rows(site.ledger, tags)] == ["spring"]


async def test_the_same_key_and_body_get_the_first_answer(site, shop):
    sent = [
        await shop.post("/v1/notifications", json=asking(), headers={"idempotency-key": "k"})
        for _ in range(2)
    ]
    assert [one.status_code for one in sent] == [202, 202]
    assert sent[0].content == sent[1].content
    assert [one.headers.get("idempotency-replayed") for one in sent] == [None, "true"]
    assert len(await rows(site.ledger)) == 1


async def test_another_body_under_the_key_is_a_conflict_and_another_clients_key_is_its_own(site, shop):
    headers = {"idempotency-key": "k"}
    await shop.post("/v1/notifications", json=asking("A-1"), headers=headers)
    other = await shop.post("/v1/notifications", json=asking("A-2"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    theirs = await (await site.client("blog")).post("/v1/notifications", json=asking(), headers=headers)
    assert theirs.status_code == 202
    assert len(await rows(site.ledger)) == 2


async def test_a_hundred_at_once_under_one_key_are_one_row(site, shop):
    headers = {"idempotency-key": "k"}
    sent = await asyncio.gather(
        *(shop.post("/v1/notifications", json=asking(), headers=headers) for _ in range(100))
    )
    assert {one.status_code for one in sent} == {202}
    assert len({one.content for one in sent}) == 1
    assert len(await rows(site.ledger)) == 1


async def test_a_key_is_kept_for_a_day(site, shop):
    headers = {"idempotency-key": "k"}
    first = await shop.post("/v1/notifications", json=asking(), headers=headers)
    await run_sql(site.ledger, "UPDATE idempotency_keys SET created_at = '2020-01-01 00:00:00.000000+00:00'")
    second = await shop.post("/v1/notifications", json=asking("A-2"), headers=headers)
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "nothing-known"}, "type"),
        ({"data": {}}, "data.order_id"),
        ({"data": []}, "data"),
        ({"recipient": {}}, "recipient"),
        ({"recipient": {"email": "no address"}}, "recipient.email"),
        ({"surprise": 1}, "surprise"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"deliver_at": "soon"}, "deliver_at"),
        ({"channels": ["pigeon"]}, "channels.0"),
        ({"channels": []}, "channels"),
        ({"tags": ["\x00"]}, "tags.0"),
        ({"priority": "now"}, "priority"),
        ({"recipient": {"id": "a\x00b"}}, "recipient.id"),
    ],
)
async def test_a_field_that_is_wrong_is_named_and_nothing_is_stored(site, shop, change, path):
    answer = await shop.post("/v1/notifications", json={**asking(), **change})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["code"], told["errors"][0]["path"]) == ("invalid", path)
    assert await rows(site.ledger) == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 300_000, "application/json", 413),
        (b'"type"', "application/json", 422),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
    ],
)
async def test_what_is_no_request_is_told_so(site, shop, content, kind, status):
    answer = await shop.post("/v1/notifications", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status
    assert await rows(site.ledger) == []


async def test_of_a_batch_each_item_has_its_answer(site, shop):
    items = [
        asking("A-1"),
        {"type": "nothing-known"},
        asking("A-1", idempotency_key="k"),
        "what",
        asking("A-2"),
    ]
    items.append(asking("A-3", idempotency_key="k"))
    answer = await shop.post("/v1/notifications/batch", json={"notifications": items})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [202, 422, 202, 422, 202, 409]
    assert results[1]["error"]["errors"][0]["path"] == "type"
    kept = {str(row.id) for row in await rows(site.ledger)}
    assert kept == {one["id"] for one in results if one["status"] == 202}


async def test_a_batch_of_more_than_a_thousand_is_refused_whole(site, shop):
    answer = await shop.post("/v1/notifications/batch", json={"notifications": [{}] * 1001})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_later_and_not_after(site, shop):
    later = (now() + timedelta(days=2)).isoformat()
    ends = (now() + timedelta(days=2, minutes=5)).isoformat()
    answer = await shop.post("/v1/notifications", json=asking(deliver_at=later, expires_at=ends))
    assert answer.status_code == 202
    [row] = await rows(site.ledger)
    assert (row.due_at.isoformat()[:19], row.expires_at.isoformat()[:19]) == (later[:19], ends[:19])


async def test_repeats_of_an_alert_are_counted_for_each_client_alone(site, shop):
    body = {"type": "alert", **alert()}
    sent = [await shop.post("/v1/notifications", json=body) for _ in range(2)]
    assert [one.json()["state"] for one in sent] == ["accepted", "grouped"]
    assert sent[0].json()["id"] == sent[1].json()["id"]
    theirs = await (await site.client("blog")).post("/v1/notifications", json=body)
    assert theirs.json()["id"] != sent[0].json()["id"]
    assert sorted(row.occurrences for row in await rows(site.ledger, notifications)) == [1, 2]


async def test_a_repeat_of_what_was_grouped_or_held_gets_the_first_answer_too(site, shop):
    body = {"type": "alert", **alert()}
    await shop.post("/v1/notifications", json=body)
    for request in (body, {"type": "alert", **alert(data={"summary": "Later"}), "digest": True}):
        sent = [
            await shop.post(
                "/v1/notifications", json=request, headers={"idempotency-key": request["data"]["summary"]}
            )
            for _ in range(2)
        ]
        assert sent[0].content == sent[1].content
        assert sent[0].json()["state"] == ("held" if "digest" in request else "grouped")
        assert sent[1].headers["idempotency-replayed"] == "true"


async def test_repeats_at_once_under_one_key_are_counted_once_in_an_open_notification(site, shop):
    body = {"type": "alert", **alert()}
    first = await shop.post("/v1/notifications", json=body)
    items = {"notifications": [{**body, "idempotency_key": "k"}] * 3}
    [*results] = (await shop.post("/v1/notifications/batch", json=items)).json()["results"]
    assert {one["id"] for one in results} == {first.json()["id"]}
    assert {one["state"] for one in results} == {"grouped"}
    [row] = await rows(site.ledger)
    assert row.occurrences == 2


async def test_a_batch_for_which_there_is_no_room_is_for_later(site, shop, monkeypatch):
    monkeypatch.setattr("waypost.gateway.memory_budget.WAITS_SECONDS", 0.2)
    sent = {"notifications": [{"type": "order-confirmation", **order("A-1")}] * 10}
    async with site.room.of("shop", SHARE - 1000):
        answer = await shop.post("/v1/notifications/batch", json=sent)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        single = await shop.post("/v1/notifications", json=sent["notifications"][0])
        assert single.status_code == 202
        theirs = await (await site.client("blog")).post("/v1/notifications/batch", json=sent)
        assert theirs.status_code == 200
    assert (await shop.post("/v1/notifications/batch", json=sent)).status_code == 200


async def test_a_batch_has_no_idempotency_key_of_its_own(site, shop):
    sent = {"notifications": [{"type": "order-confirmation", **order("A-1")}]}
    answer = await shop.post("/v1/notifications/batch", json=sent, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "Idempotency-Key"
    assert await rows(site.ledger) == []


async def test_of_a_type_that_is_not_its_own_a_key_is_told_nothing(site):
    client = await site.client("blog", "send:alert")
    for sent in ({}, {"recipient": {"id": "ada"}, "data": {"nothing": 1}}):
        answer = await client.post("/v1/notifications", json={"type": "order-confirmation", **sent})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_request_without_a_type_is_told_which_there_are(shop):
    answer = await shop.post("/v1/notifications", json={})
    assert answer.json()["detail"].startswith("type: missing; send one of address-change, alert, ")


async def test_a_digest_cannot_be_asked_for(shop):
    sent = {"type": "digest", "recipient": {"email": "ada@a.example"}, "data": {"total": 1, "items": []}}
    answer = await shop.post("/v1/notifications", json=sent)
    assert answer.json()["detail"].startswith("type: not one of address-change, alert, invitation, ")
    assert "digest" not in {one["type"] for one in (await shop.get("/v1/types")).json()["types"]}


@pytest.mark.parametrize("email", ["ops@corp.local", "root@localhost", "ops@intranet"])
async def test_an_internal_domain_is_taken_where_the_setting_names_it(shop, monkeypatch, email):
    asked = asking(recipient={"email": email})
    refused = await shop.post("/v1/notifications", json=asked)
    assert (refused.status_code, [one["path"] for one in refused.json()["errors"]]) == (
        422,
        ["recipient.email"],
    )
    assert email not in refused.text
    monkeypatch.setenv("WAYPOST_INTERNAL_DOMAINS", "corp.local,intranet,localhost")
    assert (await shop.post("/v1/notifications", json=asked)).status_code == 202
