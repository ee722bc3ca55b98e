"""Webhooks out: a client's own server is told, whatever it does, and nobody else's is."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from standardwebhooks.webhooks import WebhookVerificationError
from support.forks import Forked
from support.ledger import LONG_AGO, NOTE, accepted, ask, change, reserved, rows
from support.poison_item import BAD, SECRET, trips
from support.processes import command, environment
from support.requests import order
from support.rings import DATA_KEYS
from support.webhook_receiver import Endpoint, answer, closes, hangs

from waypost import Priority
from waypost.gateway.webhooks import post as webhook_post
from waypost.gateway.webhooks.secrets import secret
from waypost.ledger.database.tables import notifications
from waypost.ledger.database.tables import webhook_events as events_table
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.ledger.queue import claims
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.ledger.records import installation, suppressions, webhooks
from waypost.ledger.records.webhooks import STATES
from waypost.model.category import Category, CategoryTerms
from waypost.model.suppression import Suppression
from waypost.recipients.choices import NEVER
from waypost.system.clock import now

pytestmark = pytest.mark.anyio

SECRET_KEY = b"a key of sixteen or more"  # conftest.py's


@pytest.fixture
async def endpoint():
    async with Endpoint().listening() as running:
        yield running


@pytest.fixture
async def other():
    async with Endpoint().listening() as running:
        yield running


@pytest.fixture
async def open_site(site_with):
    """A gateway whose webhooks may lead here."""
    async with site_with(private_webhooks=True) as running:
        yield running


async def hooked(ledger, endpoint, *states):
    return await webhooks.create(ledger, SECRET_KEY, "shop", endpoint.url, states or STATES)


async def happen(ledger, count=1, state="failed", reason=""):
    """So many notifications of the shop come to this end."""
    ids = [receipt.id for receipt in await accepted(ledger, count)]
    await change(ledger, notifications, notifications.c.id.in_(ids), client="shop")
    await change(ledger, notifications, notifications.c.id.in_(ids), state=state, reason=reason)
    return [str(id) for id in ids]


async def left(ledger, count, seconds=60.0):
    """The events that are still to be told, once they are so many and nobody's."""
    async with asyncio.timeout(seconds):
        while True:
            found = await rows(ledger, events_table)
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def tried(ledger, seconds=60.0):
    """The one event, once its delivery failed."""
    async with asyncio.timeout(seconds):
        while True:
            [row] = await rows(ledger, events_table)
            if row.tries:
                return row
            await asyncio.sleep(0.05)


async def test_a_client_is_told_what_became_of_its_notification(open_site, endpoint):
    shop = await open_site.client()
    made = (await shop.post("/v1/webhooks", json={"url": endpoint.url})).json()
    sent = await shop.post(
        "/v1/notifications", json={"type": "order-confirmation", **order("A-1"), "tags": ["spring"]}
    )
    await shop.post(f"/v1/notifications/{sent.json()['id']}/cancel")
    [post] = await endpoint.arrived()
    told = post.verified(made["secret"])
    assert told["type"] == "notification.cancelled"
    assert told["timestamp"].endswith("Z")
    assert told["data"] == {
        "id": sent.json()["id"],
        "type": "order-confirmation",
        "state": "cancelled",
        "reason": "cancelled by client shop",
        "rule": None,
        "tags": ["spring"],
        "template_version": None,
    }
    assert post.headers["content-type"] == "application/json"
    await left(open_site.ledger, 0)


async def test_addresses_are_masked_in_what_is_told(open_site, endpoint):
    await hooked(open_site.ledger, endpoint)
    await happen(open_site.ledger, reason="no such mailbox <ada.lovelace@a.example>")
    [post] = await endpoint.arrived()
    assert post.told["data"]["reason"] == "no such mailbox <a***e@a.example>"


async def test_what_is_suppressed_or_waits_by_a_decision_tells_the_rule(open_site, endpoint):
    """A run takes up three: a suppressed address, a recipient who wants none, and quiet hours."""
    ledger = open_site.ledger
    await hooked(ledger, endpoint, "suppressed", "deferred")
    news = replace(NOTE, category=Category.MARKETING, priority=Priority.NORMAL)
    await accept_all(ledger, [Candidate(news, ask(to=who), client="shop") for who in ("ada", "bob", "eve")])
    await suppressions.add(ledger, [Suppression(address="ada@a.example")])
    await choose(ledger, Choosing("shop", "bob", {Category.MARKETING: NEVER}, "api"), {})
    terms = CategoryTerms.model_validate({"quiet_hours": "00:00-23:59"})
    policy = SendingPolicy.of(news, {Category.MARKETING: terms}, [news])
    claim = await reserved(ledger)
    await claims.take_up(ledger, "note", claim.id, policy=policy)
    posts = [(await endpoint.arrived(number))[number - 1] for number in (1, 2, 3)]
    data = [post.told["data"] for post in posts]
    assert {(one["state"], one["rule"]) for one in data} == {
        ("suppressed", "suppression"),
        ("suppressed", "recipient"),
        ("deferred", "quiet hours"),
    }
    assert all(one["reason"].endswith(f"({one['rule']})") for one in data)  # as `waypost explain` shows it


async def test_a_wrong_secret_does_not_verify(open_site, endpoint):
    made = await hooked(open_site.ledger, endpoint)
    await happen(open_site.ledger)
    [post] = await endpoint.arrived()
    with pytest.raises(WebhookVerificationError):
        post.verified(secret(b"another key of sixteen", made))


async def test_many_events_are_told_once_each_by_two_gateways(open_site, endpoint, site_with):
    async with site_with(private_webhooks=True):
        await hooked(open_site.ledger, endpoint)
        ids = await happen(open_site.ledger, 250)
        await left(open_site.ledger, 0, 30)
    assert sorted(post.told["data"]["id"] for post in endpoint.posts) == sorted(ids)
    assert len({post.id for post in endpoint.posts}) == 250


@pytest.mark.parametrize(
    "says",
    [
        answer(500),
        answer(404),
        answer(302, "Location: http://127.0.0.1/elsewhere"),
        closes,
        hangs,
        b"what?\r\n",
    ],
    ids=["500", "404", "redirect", "closes", "hangs", "no HTTP"],
)
async def test_what_fails_is_told_again_later_with_the_same_id(open_site, endpoint, says, monkeypatch):
    monkeypatch.setattr(webhook_post, "POST_SECONDS", 0.5)
    endpoint.says = says
    made = await hooked(open_site.ledger, endpoint)
    await happen(open_site.ledger)
    row = await tried(open_site.ledger)
    assert timedelta(seconds=2) < row.due_at - now() < timedelta(seconds=6)
    assert (row.tries, len(endpoint.posts)) == (1, 1)
    endpoint.says = answer(204, body=b"")
    await change(open_site.ledger, events_table, due_at=LONG_AGO)
    first, again = await endpoint.arrived(2)
    await left(open_site.ledger, 0)
    assert first.id == again.id
    assert first.body == again.body
    again.verified(secret(SECRET_KEY, made))


async def test_an_answer_may_say_when(open_site, endpoint):
    endpoint.says = answer(503, "Retry-After: 120")
    await hooked(open_site.ledger, endpoint)
    await happen(open_site.ledger)
    row = await tried(open_site.ledger)
    assert timedelta(seconds=110) < row.due_at - now() < timedelta(seconds=121)
    await happen(open_site.ledger)
    await asyncio.sleep(1.5)
    assert len(endpoint.posts) == 1  # the others wait too


async def test_who_answers_gone_is_told_nothing_any_more(open_site, endpoint):
    endpoint.says = answer(410)
    made = await hooked(open_site.ledger, endpoint)
    await happen(open_site.ledger, 20)
    await left(open_site.ledger, 0)
    endpoint.says = answer(200)
    told = len(endpoint.posts)
    await happen(open_site.ledger)
    await asyncio.sleep(1.2)
    assert len(endpoint.posts) == told <= webhook_post.IN_FLIGHT
    shop = await open_site.client()
    assert (await shop.get(f"/v1/webhooks/{made.id}")).json()["gone_at"] is not None


async def test_a_long_answer_is_taken_for_its_status(open_site, endpoint):
    endpoint.says = answer(200, body=b"x" * 3_000_000)
    await hooked(open_site.ledger, endpoint)
    await happen(open_site.ledger, 3)
    await left(open_site.ledger, 0)


async def test_one_that_hangs_holds_up_no_other(open_site, endpoint, other):
    endpoint.says = hangs
    await hooked(open_site.ledger, endpoint, "failed")
    await hooked(open_site.ledger, other, "failed")
    ids = await happen(open_site.ledger, 50)
    posts = await other.arrived(50, 5)
    assert sorted(post.told["data"]["id"] for post in posts) == sorted(ids)
    assert len(endpoint.posts) <= webhook_post.IN_FLIGHT
    endpoint.says = closes


async def test_one_that_fails_is_left_alone_and_then_asked_with_one_event(
    open_site, endpoint, monkeypatch, caplog
):
    monkeypatch.setattr("waypost.policy.circuit_breaker.OPEN_SECONDS", 0.5)
    endpoint.says = answer(500)
    made = await hooked(open_site.ledger, endpoint)
    with caplog.at_level(logging.INFO, "waypost.webhooks"):
        await happen(open_site.ledger, 60)
        await endpoint.arrived(3)
        await asyncio.sleep(0.3)
        assert len(endpoint.posts) <= webhook_post.IN_FLIGHT + 2  # three failures tell
        endpoint.says = answer(200)
        await change(open_site.ledger, events_table, due_at=LONG_AGO)
        await left(open_site.ledger, 0)
    assert f"webhook {made.id} (client shop): circuit open" in caplog.text
    assert f"webhook {made.id} responds again" in caplog.text
    assert "/hook" not in caplog.text


async def test_after_three_days_it_is_given_up_with_a_note(open_site, endpoint, caplog):
    endpoint.says = answer(500)
    made = await hooked(open_site.ledger, endpoint)
    [id] = await happen(open_site.ledger)
    await tried(open_site.ledger)
    long = {"at": now() - timedelta(days=2, hours=20), "due_at": LONG_AGO, "tries": 12}
    with caplog.at_level(logging.WARNING, "waypost.webhooks"):
        await change(open_site.ledger, events_table, **long)
        await left(open_site.ledger, 0)
    assert f"webhook {made.id}: event of notification {id} (failed) not delivered after 13" in caplog.text


async def test_a_rotated_secret_signs_beside_the_one_before(open_site, endpoint):
    shop = await open_site.client()
    first = (await shop.post("/v1/webhooks", json={"url": endpoint.url, "states": ["failed"]})).json()
    second = (await shop.post(f"/v1/webhooks/{first['id']}/rotate")).json()
    assert first["secret"] != second["secret"]
    await happen(open_site.ledger)
    [post] = await endpoint.arrived()
    for one in (first, second):
        post.verified(one["secret"])
    await change(open_site.ledger, webhooks.webhooks, overlap_until=LONG_AGO)
    await happen(open_site.ledger)
    post = (await endpoint.arrived(2))[1]
    post.verified(second["secret"])
    with pytest.raises(WebhookVerificationError):
        post.verified(first["secret"])


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "http://shop.example/x",
        "https://shop.example/\x00",
        7,
    ],
)
async def test_a_url_that_leads_nowhere_it_may_is_refused(site, shop, url):
    found = await shop.post("/v1/webhooks", json={"url": url})
    assert (found.status_code, found.json()["errors"][0]["path"]) == (422, "url"), found.text
    assert str(url) not in found.text
    assert await webhooks.every(site.ledger) == []


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ({}, "url"),
        ({"url": "https://shop.example/", "states": []}, "states"),
        ({"url": "https://shop.example/", "states": ["opened"]}, "states.0"),
        ({"url": "https://shop.example/", "states": "sent"}, "states"),
        ({"url": "https://shop.example/", "secret": "mine"}, "secret"),
        ([], "body"),
    ],
)
async def test_a_field_that_is_wrong_is_named(shop, sent, path):
    found = await shop.post("/v1/webhooks", json=sent)
    assert (found.status_code, found.json()["errors"][0]["path"]) == (422, path), found.text


async def test_a_name_that_leads_to_this_machine_is_not_followed(site, endpoint, monkeypatch, caplog):
    loop = asyncio.get_running_loop()

    async def resolve(_host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
    hook = f"https://inner.example:{endpoint.port}/"
    await webhooks.create(site.ledger, SECRET_KEY, "shop", hook, STATES)
    with caplog.at_level(logging.WARNING, "waypost.webhooks"):
        await happen(site.ledger, 4)
        async with asyncio.timeout(60):
            while "circuit open" not in caplog.text:
                await asyncio.sleep(0.05)
    assert "private network" in caplog.text
    assert endpoint.connections == 0


async def test_what_was_allowed_once_is_not_for_ever(site, endpoint):
    await hooked(site.ledger, endpoint)  # made where private addresses were allowed
    await happen(site.ledger)
    row = await tried(site.ledger)
    assert (row.tries, endpoint.connections) == (1, 0)


async def test_a_client_sees_and_ends_its_own_alone(site, shop):
    made = (await shop.post("/v1/webhooks", json={"url": "https://shop.example/x"})).json()
    assert made["states"] == ["sent", "suppressed", "expired", "failed", "cancelled"]
    place = f"/v1/webhooks/{made['id']}"
    known = {name: value for name, value in made.items() if name != "secret"}
    assert (await shop.get(place)).json() == known
    assert (await shop.get("/v1/webhooks")).json() == {"webhooks": [known]}
    blog = await site.client("blog")
    refused = [await blog.get(place), await blog.delete(place), await blog.post(f"{place}/rotate")]
    assert [one.status_code for one in refused] == [404, 404, 404]
    assert (await blog.get("/v1/webhooks")).json() == {"webhooks": []}
    assert (await shop.delete(place)).status_code == 204
    assert (await shop.delete(place)).status_code == 404
    assert (await shop.get("/v1/webhooks/nothing")).status_code == 404


async def test_it_needs_a_key_that_may_manage(site):
    reader = await site.client("shop", "read", "send")
    for found in (await reader.get("/v1/webhooks"), await reader.post("/v1/webhooks", json={})):
        assert (found.status_code, found.json()["code"]) == (403, "forbidden")
    assert (await site.bare().get("/v1/webhooks")).status_code == 401


async def test_a_client_has_ten_at_most(shop):
    asked = {"url": "https://shop.example/x"}
    found = [await shop.post("/v1/webhooks", json=asked) for _ in range(11)]
    assert [one.status_code for one in found] == [201] * 10 + [409]
    assert found[-1].json()["code"] == "limit-reached"


async def test_what_a_stopped_gateway_left_goes_out_after_a_restart(ledger, endpoint, site_with):
    endpoint.says = hangs
    async with site_with(private_webhooks=True):
        await hooked(ledger, endpoint)
        await happen(ledger, 3)
        await endpoint.arrived(3)
    begun = {post.id for post in endpoint.posts}
    endpoint.says = answer(200)
    await happen(ledger, 2)  # while no gateway runs
    async with site_with(private_webhooks=True):
        await left(ledger, 0)
    assert len({post.id for post in endpoint.posts}) == 5
    assert begun < {post.id for post in endpoint.posts[3:]}


class Gateway:
    """`waypost gateway`, a process of its own."""

    def __init__(self, home, database):
        settings = {
            "WAYPOST_DATABASE_URL": database,
            "WAYPOST_DATA_KEYS": DATA_KEYS,
            "WAYPOST_SECRET_KEY": SECRET_KEY.decode(),
        }
        self.process = Forked(
            command("gateway", "--port=0"),
            env=environment(home, WAYPOST_WEBHOOKS_ALLOW_PRIVATE="true", **settings),
            stdout=subprocess.DEVNULL,
        )

    async def end(self, number):
        os.kill(self.process.pid, number)
        return await asyncio.to_thread(self.process.wait, 30)


@pytest.mark.long
async def test_what_a_killed_gateway_had_begun_is_told_again_with_the_same_id(
    ledger, database, endpoint, tmp_path
):
    endpoint.says = hangs
    made = await hooked(ledger, endpoint)
    ids = await happen(ledger, 3)
    async with AsyncExitStack() as stack:
        killed = Gateway(tmp_path / "home", database)
        stack.push_async_callback(killed.end, signal.SIGKILL)
        begun = {post.id for post in await endpoint.arrived(3, 60)}
    assert len(await rows(ledger, events_table)) == 3
    endpoint.says = answer(200)
    await change(ledger, events_table, due_at=LONG_AGO)  # its lease is over
    after = Gateway(tmp_path / "home", database)
    try:
        posts = (await endpoint.arrived(6, 60))[3:]
        await left(ledger, 0)
    finally:
        assert await after.end(signal.SIGTERM) == 0
    assert {post.id for post in posts} == begun
    told = [post.verified(secret(SECRET_KEY, made))["data"]["id"] for post in posts]
    assert sorted(told) == sorted(ids)


async def test_an_event_that_cannot_be_told_harms_no_other(open_site, endpoint, monkeypatch, caplog):
    write = webhook_post.payload

    def tripping(event):
        trips(event.reason)
        return write(event)

    monkeypatch.setattr(webhook_post, "payload", tripping)
    await hooked(open_site.ledger, endpoint)
    [bad] = await happen(open_site.ledger, reason=BAD)
    good = await happen(open_site.ledger, count=20)
    told = {post.told["data"]["id"] for post in await endpoint.arrived(20)}
    await left(open_site.ledger, 1)
    put_off = await tried(open_site.ledger)
    assert (told, str(put_off.notification_id)) == (set(good), bad)
    assert f"posting to a webhook failed for {bad}: RecursionError at " in caplog.text
    assert SECRET not in caplog.text


async def test_with_a_key_that_was_changed_meanwhile_nothing_is_told_or_made(
    site_with, ledger, endpoint, caplog
):
    other = b"another key of sixteen"
    async with site_with(private_webhooks=True) as site:
        shop = await site.client()
        hook = await hooked(ledger, endpoint)
        await installation.change_key(ledger, other)
        ids = await happen(ledger, 3)
        asked = {"/v1/webhooks": {"url": endpoint.url}, f"/v1/webhooks/{hook.id}/rotate": None}
        for path, body in asked.items():
            refused = await shop.post(path, json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
            assert "the secret key is not the key" in refused.json()["detail"]
        async with asyncio.timeout(60):
            while "the secret key is not the key" not in caplog.text:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
    said = [one.levelname for one in caplog.records if "the secret key is not" in one.getMessage()]
    assert (said, endpoint.posts) == (["ERROR"], [])
    assert [one.tries for one in await left(ledger, 3)] == [0, 0, 0]
    assert len(await webhooks.every(ledger)) == 1
    async with site_with(private_webhooks=True, secret_key=other):
        posts = await endpoint.arrived(3)
        assert {post.verified(secret(other, hook))["data"]["id"] for post in posts} == set(ids)
        await left(ledger, 0)
