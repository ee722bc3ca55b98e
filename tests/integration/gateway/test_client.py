"""The Python client against a gateway that runs: both kinds of it, and what it does when things go wrong."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from anyio import to_thread
from support.http_faults import DROP, LOSE, front
from support.ledger import rows
from support.requests import alert, order

from waypost.client import AsyncClient, Client, GatewayError, Refused, Send, Unavailable

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9"


def one(number="A-1", **more):
    return Send(type="order-confirmation", **order(number), **more)


@pytest.fixture
async def client(site):
    async with AsyncClient(site.url, await site.key()) as made:
        yield made


async def test_the_blocking_client_does_all_there_is(site):
    key = await site.key()

    def work():
        with Client(site.url, key) as client:
            sent = client.send("order-confirmation", **order("A-1"), tags=["spring"])
            results = client.send_many([one("A-2"), one("A-3", channels=["pigeon"])])
            assert [result.status for result in results] == [202, 422]
            assert client.get(sent.id).state == "accepted"
            assert [entry.id for entry in client.list(tag="spring")] == [sent.id]
            assert client.cancel(sent.id).state == client.cancel(sent.id).state == "cancelled"
            assert "alert" in {type.type for type in client.types()}
            assert client.put_recipient("a/b..c", email="ada@a.example").email == "ada@a.example"
            assert client.get_recipient("a/b..c").id == "a/b..c"
            [exported] = client.export_recipient("a/b..c")
            assert (exported.recipient, exported.notifications) == (client.get_recipient("a/b..c"), [])
            assert (client.delete_recipient("a/b..c"), client.delete_recipient("a/b..c")) == (True, False)
            assert client.patch_recipient("ada", email="ada@a.example").email == "ada@a.example"
            assert client.patch_recipient("ada", phone="+4912345", email=None).email is None
            home = {"address": "ada@home.example", "verified": True}
            told = client.patch_recipient("ada", addresses=[home]).addresses
            assert [(one.address, one.main, one.verified) for one in told][1:] == [
                ("ada@home.example", False, True)
            ]
            choices = {"marketing": {"cadence": "never"}, "product": None}
            assert client.change_preferences("ada", choices)["marketing"].cadence == "never"
            assert list(client.preferences("ada")) == ["marketing"]
            assert (client.change_preferences(None, {"alert": {}}).keys(), client.preferences().keys()) == (
                {"alert"}, {"alert"},
            )  # fmt: skip
            assert client.suppress("ada@a.example", category="marketing").category == "marketing"
            assert client.suppress("b+c/d@a.example", reason="asked").reason == "asked"
            listed = {one.address for one in client.suppressions(limit=1)}
            assert listed == {"ada@a.example", "b+c/d@a.example"}
            lifted = [client.lift_suppressions("b+c/d@a.example", cause="manual") for _ in range(2)]
            assert lifted == [True, False]
            assert client.check_code("nobody", "123456").result == "unknown"
            assert client.check_token("x.y.z").result == "unknown"
            made = client.create_webhook("https://hooks.a.example/waypost", ["sent"])
            assert [webhook.id for webhook in client.webhooks()] == [made.id]
            assert client.rotate_webhook(made.id).secret != made.secret
            assert (client.delete_webhook(made.id), client.delete_webhook(made.id)) == (True, False)

    await to_thread.run_sync(work)


async def test_the_awaited_client_does_the_same(client):
    sent = await client.send("order-confirmation", **order("A-1"), tags=["spring"])
    results = await client.send_many([one("A-2"), one("A-3", tags=[""])])
    assert [result.status for result in results] == [202, 422]
    assert (await client.get(sent.id)).recipient == "r-A-1 r***1@a.example"
    assert [entry.id async for entry in client.list(tag="spring")] == [sent.id]
    assert (await client.cancel(sent.id)).state == "cancelled"
    assert "alert" in {type.type for type in await client.types()}
    await client.put_recipient("ada", phone="+4912345")
    assert (await client.get_recipient("ada")).phone == "+4912345"
    asked = {"cadence": "weekly", "confirmed": True, "evidence": "box ticked"}
    await client.change_preferences("ada", {"marketing": asked})
    chosen = (await client.preferences("ada"))["marketing"]
    assert (chosen.cadence, chosen.evidence) == ("weekly on monday at 09:00", "box ticked")
    pages = [page async for page in client.export_recipient("ada")]
    assert [page.preferences["marketing"].evidence for page in pages] == ["box ticked"]
    await client.suppress("ada@a.example")
    assert [one.cause async for one in client.suppressions(address="ada@a.example")] == ["manual"]
    assert await client.lift_suppressions("ada@a.example")
    assert (await client.delete_recipient("ada"), await client.delete_recipient("ada")) == (True, False)
    assert (await client.check_code("nobody", "123456")).result == "unknown"
    made = await client.create_webhook("https://hooks.a.example/waypost")
    assert made.secret.startswith("whsec_")
    assert [webhook.id for webhook in await client.webhooks()] == [made.id]
    assert await client.delete_webhook(made.id)


async def test_many_go_in_batches_and_come_back_in_order(site, client):
    data = alert()["data"]
    many = [Send(type="alert", recipient=f"r{n}", data={**data, "fingerprint": f"{n}"}) for n in range(1001)]
    results = await client.send_many(many)
    assert len({result.id for result in results}) == 1001
    last = await client.get(results[-1].id)
    assert last.recipient.startswith("r1000")
    assert len([entry async for entry in client.list(limit=200)]) == 1001


async def test_a_recipient_may_be_an_id_and_moments_and_models_are_written_as_json(site, client):
    await client.put_recipient("ada", email="ada@a.example")
    later = datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
    sent = await client.send("order-confirmation", "ada", order("A-1")["data"], deliver_at=later)
    assert (await client.get(sent.id)).due_at == later
    assert [entry.id async for entry in client.list(since=datetime(2020, 1, 1, tzinfo=UTC))] == [sent.id]


@pytest.mark.parametrize("behaviour", [LOSE, DROP, 502, 503, 504, 429])
async def test_what_goes_wrong_on_the_way_is_tried_again_and_is_one_row(site, behaviour):
    async with front(site.url, behaviour) as (url, between), AsyncClient(url, await site.key()) as client:
        sent = await client.send("order-confirmation", **order("A-1"))
        assert len(between.requests) == 2
        assert between.requests[0] == between.requests[1]
    assert [row.id for row in await rows(site.ledger)] == [sent.id]


async def test_it_waits_as_long_as_it_is_asked_to(site):
    bent = front(site.url, 503, headers="Retry-After: 1\r\n")
    async with bent as (url, _), AsyncClient(url, await site.key()) as client:
        began = time.monotonic()
        await client.send("order-confirmation", **order("A-1"))
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
async def test_what_is_refused_is_not_tried_again(site, status):
    async with front(site.url, status) as (url, between), AsyncClient(url, "wp_x") as client:
        with pytest.raises(Refused) as refused:
            await client.send("order-confirmation", **order("A-1"))
        assert (refused.value.status, refused.value.code) == (status, "unexpected")
        assert len(between.requests) == 1


async def test_a_check_is_not_made_twice_where_it_may_have_been_made(site):
    async with front(site.url, LOSE) as (url, between), AsyncClient(url, await site.key()) as client:
        with pytest.raises(Unavailable):
            await client.check_code("ada", "123456")
        assert len(between.requests) == 1


async def test_an_error_has_its_code_what_to_do_and_the_fields(client):
    with pytest.raises(Refused) as refused:
        await client.send("order-confirmation", "ada", {})
    error = refused.value
    assert (error.status, error.code) == (422, "invalid")
    assert "data.order_id" in {fault.path for fault in error.faults}
    assert "data.order_id" in error.detail


async def test_a_gateway_that_is_not_there_is_tried_until_the_deadline():
    async with AsyncClient(NOWHERE, "wp_x", deadline=1) as client:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="did not respond") as gone:
            await client.types()
        assert (gone.value.code, gone.value.status) == ("unreachable", None)
        assert 0.2 < time.monotonic() - began < 3


async def test_the_key_is_in_no_text(caplog, site):
    caplog.set_level(logging.DEBUG)
    key = await site.key()
    texts = []
    for url, secret in ((NOWHERE, key), (site.url, key), (site.url, f"{key}x"), (site.url, "two words")):
        try:
            async with AsyncClient(url, secret, deadline=0.3) as client:
                texts += [repr(client), str(client), repr(vars(client))]
                texts.append(repr(Send(type="alert", recipient="ada", data={"secret": "x"})))
                await client.get("nonsense")
        except (GatewayError, ValueError) as error:
            texts += [repr(error), str(error), repr(error.__cause__), repr(vars(error))]
    told = "\n".join([*texts, caplog.text])
    assert key[17:] not in told
    assert "two words" not in told


def test_importing_it_loads_neither_prefect_nor_a_database_nor_a_server():
    loaded = "import sys, waypost.client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    heavy = {"prefect", "sqlalchemy", "fastapi", "starlette", "uvicorn", "jinja2", "aiosmtplib", "alembic"}
    assert not heavy & set(done.stdout.split())
