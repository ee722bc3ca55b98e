"""What is shared is owned: a request's own address is where it goes, and recipients are their client's."""

from __future__ import annotations

import asyncio
from urllib.parse import quote
from uuid import UUID

import pytest
from support.delivery import send, taken_up
from support.ledger import rows
from support.requests import alert, order
from support.rings import DATA_KEYS

from waypost import Priority
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments.processes.without_prefect import deliver
from waypost.ledger.database.tables import recipients
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import claims
from waypost.verification.codes import mint

pytestmark = pytest.mark.anyio
ROUTE = "/v1/notifications"
CODE = {"product": "Harbour", "verify_url": "https://app.example/verify"}


def signup(**recipient):
    return {"type": "signup-verification", "recipient": recipient, "data": CODE}


def ordered(number="A-1", **recipient):
    return {"type": "order-confirmation", "recipient": recipient, "data": order(number)["data"]}


async def taken_to(site, type="order-confirmation"):
    """The addresses that what is due of a type goes to."""
    _, found = await taken_up(site.ledger, type)
    return [one.recipient.email for one in found]


@pytest.fixture
async def blog(site):
    return await site.client("blog", "send:alert", "send:signup-verification", "read", "manage")


async def test_each_of_two_posts_within_a_second_goes_to_the_address_that_it_named(site, shop):
    for email in ("old@a.example", "new@a.example"):
        assert (await shop.post(ROUTE, json=ordered(id="ada", email=email))).status_code == 202
    assert await taken_to(site) == ["old@a.example", "new@a.example"]


async def test_anothers_post_moves_no_mail(site, shop, database, inbox, tmp_path):
    thief = await site.client("blog", "send:alert")
    to_thief = {"type": "alert", **alert()} | {"recipient": {"id": "victim", "email": "thief@b.example"}}
    for client, body in (
        (shop, signup(id="victim", email="good@a.example")),
        (thief, to_thief),
        (shop, signup(id="victim")),
    ):
        assert (await client.post(ROUTE, json=body)).status_code == 202
    settings = Settings(
        home=tmp_path,
        database_url=database,
        data_keys=DATA_KEYS,
        smtp_url=f"smtp://127.0.0.1:{inbox.port}?tls=off",
    )
    async with Runtime.open(settings):
        await deliver(await claims.reserve(site.ledger, "signup-verification", Priority.URGENT))
    assert [one.rcpt_tos for one in inbox.taken] == [["good@a.example"]] * 2


async def test_a_send_fills_in_what_is_unknown_and_changes_nothing(site, shop):
    sender = await site.client("shop", "send")
    await shop.put("/v1/recipients/ada", json={"email": "ada@a.example"})
    await sender.post(ROUTE, json=ordered(id="ada", email="new@a.example", phone="+15550100", locale="de"))
    known = (await shop.get("/v1/recipients/ada")).json()
    assert (known["email"], known["phone"], known["locale"]) == ("ada@a.example", "+15550100", "de")
    await sender.post(ROUTE, json=ordered("A-2", id="ada"))
    assert await taken_to(site) == ["new@a.example", "ada@a.example"]


async def test_what_a_request_leaves_out_is_what_is_known(site, shop):
    await shop.put("/v1/recipients/ada", json={"email": "ada@a.example", "locale": "fr", "name": "Ada"})
    await shop.post(ROUTE, json=ordered(id="ada", email="new@a.example", name="Countess"))
    _, [one] = await taken_up(site.ledger, "order-confirmation")
    found = one.recipient
    assert (found.email, found.name, found.locale) == ("new@a.example", "Countess", "fr")


ADA, EVE = {"email": "ada@a.example"}, {"email": "eve@b.example"}


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_no_route_of_recipients_sees_anothers(shop, blog, method):
    await shop.put("/v1/recipients/ada", json=ADA)
    answer = await blog.request(method, "/v1/recipients/ada", json=EVE if method == "PUT" else None)
    assert answer.status_code == (201 if method == "PUT" else 404)
    assert (await shop.get("/v1/recipients/ada")).json()["email"] == "ada@a.example"


@pytest.mark.parametrize("batch", [False, True])
async def test_no_post_goes_to_what_another_knows(shop, blog, batch):
    await shop.put("/v1/recipients/ada", json=ADA)
    if batch:
        answer = await blog.post(f"{ROUTE}/batch", json={"notifications": [signup(id="ada")]})
        status = answer.json()["results"][0]["status"]
    else:
        status = (await blog.post(ROUTE, json=signup(id="ada"))).status_code
    assert status == 422


async def test_no_list_by_recipient_shows_anothers(shop, blog):
    await shop.post(ROUTE, json=signup(id="ada", **ADA))
    await blog.post(ROUTE, json=signup(id="ada", **EVE))
    for client, shown in ((shop, "ada a***a@a.example"), (blog, "ada e***e@b.example")):
        [one] = (await client.get(ROUTE, params={"recipient": "ada"})).json()["notifications"]
        assert one["recipient"] == shown


async def test_no_code_of_ones_proves_an_id_of_the_others(site, shop, blog):
    for client, known in ((shop, ADA), (blog, EVE)):
        await client.post(ROUTE, json=signup(id="ada", **known))
    batch, found = await taken_up(site.ledger, "signup-verification")
    runtime = Runtime(Settings(secret_key=site.secret_key.decode()), site.ledger, [])
    made = await mint(runtime, found)
    for one in found:
        await send(site.ledger, batch, one.id)
    codes = {one.recipient.email: made[one.id]["code"] for one in found}

    async def checked(client, email):
        asked = {"recipient": "ada", "code": codes[email]}
        return (await client.post("/v1/verifications/check", json=asked)).json()["result"]

    if codes["eve@b.example"] != codes["ada@a.example"]:
        assert await checked(blog, "ada@a.example") == "wrong"
    assert await checked(blog, "eve@b.example") == "verified"
    assert await checked(shop, "ada@a.example") == "verified"


@pytest.mark.parametrize(
    ("recipient", "channels", "path"),
    [
        ({"id": "nobody"}, None, "recipient"),
        ({"id": "nobody", "name": "Nobody"}, ["email"], "recipient.email"),
        ({"id": "ada", "email": "ada@a.example"}, ["sms"], "recipient.phone"),
        ({"email": "ada@a.example"}, ["sms"], "recipient.phone"),
        ({"id": "nobody"}, ["email", "sms"], "recipient"),
    ],
)
async def test_what_reaches_nobody_is_refused_at_the_door(site, shop, recipient, channels, path):
    body = {**ordered(**recipient), "channels": channels, "idempotency_key": "k"}
    answer = await shop.post(ROUTE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert [one["path"] for one in answer.json()["errors"]] == [path]
    assert await rows(site.ledger) == await rows(site.ledger, recipients) == []
    phone = {"phone": "+15550100", "email": "ada@a.example"}
    answer = await shop.post(ROUTE, json={**body, "recipient": {**recipient, **phone}})
    assert answer.status_code == 202, "the key of what was refused is free"


async def test_a_route_that_needs_no_address_takes_any_id(shop):
    body = {"type": "alert", **alert(), "recipient": {"id": "nobody"}}
    assert (await shop.post(ROUTE, json=body)).status_code == 202


async def test_a_batch_answers_each_item_in_its_place(shop):
    await shop.put("/v1/recipients/ada", json=ADA)
    asked = [
        ordered("1", id="nobody"), ordered("2", id="ada"), ordered("3", id="bob", **EVE),
        ordered("4", id="bob"), ordered("5", email="eve@b.example"), ordered("6", id="nobody"),
    ]  # fmt: skip
    answer = await shop.post(f"{ROUTE}/batch", json={"notifications": asked})
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [422, 202, 202, 202, 202, 422]
    assert results[0]["error"]["errors"][0]["path"] == "recipient"


async def test_a_repeat_gets_its_first_answer_though_nothing_is_known_any_more(shop):
    await shop.put("/v1/recipients/ada", json=ADA)
    body = {**ordered(id="ada"), "idempotency_key": "k"}
    first = await shop.post(ROUTE, json=body)
    await shop.delete("/v1/recipients/ada")
    again = await shop.post(ROUTE, json=body)
    assert (again.status_code, again.json()) == (202, first.json())


async def test_of_two_at_once_under_one_key_both_are_told_that_nobody_is_reached(shop):
    body = {**ordered(id="nobody"), "idempotency_key": "k"}
    answer = await shop.post(f"{ROUTE}/batch", json={"notifications": [body, body]})
    assert [one["status"] for one in answer.json()["results"]] == [422, 422]


async def test_what_waits_for_who_was_forgotten_fails_and_says_so(site, shop):
    sent = [ordered("1", id="ada", **ADA), ordered("2", id="ada"), ordered("3", **EVE)]
    ids = [(await shop.post(ROUTE, json=body)).json()["id"] for body in sent]
    assert (await shop.delete("/v1/recipients/ada")).status_code == 204
    [doomed, other, _] = [await explain(site.ledger, UUID(id)) for id in ids]
    assert doomed.timeline[-1].detail.endswith(
        "; it will fail because its recipient was forgotten, so it has no address"
    )
    assert other.timeline[-1].detail.endswith("unless the id gets an address before")
    await shop.put("/v1/recipients/ada", json=EVE)
    assert (await explain(site.ledger, UUID(ids[1]))).forgotten == ""
    assert await taken_to(site) == ["eve@b.example"] * 2  # by its id, to who it is now; and the other
    answer = (await shop.get(f"{ROUTE}/{ids[0]}")).json()
    assert (answer["state"], answer["recipient"]) == ("failed", "ada")
    assert answer["reason"] == "its recipient was forgotten, so it has no address"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"email": "Ada@a.example"}, "mailto:ada@a.example"),
        ({"email": "Ada@a.example"}, "MAILTO:ADA@a.example"),
        ({"email": "a+b@a.example"}, "mailto:a+b@a.example"),
        ({"phone": "+49 (30) 12-34"}, "tel:+49301234"),
        ({"phone": "+49 (30) 12-34"}, "tel:+49 30 1234"),
    ],
)
async def test_who_is_known_by_an_address_is_read_and_forgotten_by_it(site, shop, given, path):
    body = {**ordered(**given), "channels": ["email" if "email" in given else "sms"]}
    assert (await shop.post(ROUTE, json=body)).status_code == 202
    at = f"/v1/recipients/{quote(path, safe=':@')}"
    [field] = given
    known = (await shop.get(at)).json()[field]
    assert known == (given[field] if field == "email" else "+49301234")
    assert (await shop.delete(at)).status_code == 204
    assert (await shop.get(at)).status_code == 404
    kept = repr([await rows(site.ledger, table) for table in (recipients.metadata.tables.values())])
    assert "a.example" not in kept.lower()
    assert "301234" not in kept
    assert "301234" not in kept


@pytest.mark.parametrize("path", ["mailto:nobody", "tel:ada", "mailto:", "mailto:a@b@c"])
async def test_a_url_that_names_no_address_is_told_so(shop, path):
    for method in ("GET", "DELETE"):
        answer = await shop.request(method, f"/v1/recipients/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "id"), answer.text


async def test_posts_at_once_for_one_id_of_two_clients_keep_them_apart(site, shop, blog):
    posts = [
        client.post(ROUTE, json=signup(id="ada", email=f"{name}{number}@a.example"))
        for number in range(20)
        for name, client in (("shop", shop), ("blog", blog))
    ]
    assert {answer.status_code for answer in await asyncio.gather(*posts)} == {202}
    assert sorted(await taken_to(site, "signup-verification")) == sorted(
        f"{name}{number}@a.example" for number in range(20) for name in ("shop", "blog")
    )
    known = {row.client: row.email[:4] for row in await rows(site.ledger, recipients)}
    assert known == {"shop": "shop", "blog": "blog"}
