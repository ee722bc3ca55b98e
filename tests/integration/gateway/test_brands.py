"""Brands over HTTP and SMTP: the key's, the request's, and those that do not exist."""

from __future__ import annotations

import pytest
from support.ledger import rows
from support.requests import order
from support.smtp_submission import letter, posting

pytestmark = pytest.mark.anyio
SEND = "/v1/notifications"


@pytest.fixture(autouse=True)
def brands(monkeypatch):
    monkeypatch.setenv("WAYPOST_BRANDS", '{"acme": {"sender": "Acme <a@acme.example>"}}')


@pytest.fixture
async def site(brands, site_with):
    async with site_with() as running:
        yield running


def asking(**more):
    return {"type": "order-confirmation", **order("A-1"), **more}


@pytest.mark.parametrize(
    ("of_key", "of_request", "kept"),
    [
        (None, {}, None),
        (None, {"brand": "default"}, None),
        (None, {"brand": "acme"}, "acme"),
        ("acme", {}, "acme"),
        ("acme", {"brand": "acme"}, "acme"),
    ],
)
async def test_the_brand_of_the_key_or_the_request_is_kept_shown_and_found(site, of_key, of_request, kept):
    client = await site.client(brand=of_key)
    sent = await client.post(SEND, json=asking(**of_request))
    assert sent.status_code == 202
    assert [row.brand for row in await rows(site.ledger)] == [kept]
    assert (await client.get(sent.headers["location"])).json()["brand"] == (kept or "default")
    [listed] = (await client.get(SEND, params={"brand": kept or "default"})).json()["notifications"]
    assert listed["brand"] == (kept or "default")
    assert (await client.get(SEND, params={"brand": "other"})).json()["notifications"] == []


@pytest.mark.parametrize(
    ("of_key", "of_request", "reason"),
    [
        (None, "nope", "there is no brand nope; brands: default, acme"),
        ("acme", "default", "this API key sends for the brand acme only; leave brand out"),
        ("gone", None, "of the API key: there is no brand gone"),
    ],
)
async def test_a_brand_that_may_not_be_is_refused_in_a_sentence(site, of_key, of_request, reason):
    client = await site.client(brand=of_key)
    answer = await client.post(SEND, json=asking(**({"brand": of_request} if of_request else {})))
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"path": "brand", "reason": reason}])
    assert await rows(site.ledger) == []


async def test_in_a_batch_an_unknown_brand_is_refused_alone(site):
    client = await site.client()
    sent = {"notifications": [asking(brand="nope"), asking(brand="acme")]}
    answer = await client.post(f"{SEND}/batch", json=sent)
    assert [one["status"] for one in answer.json()["results"]] == [422, 202]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_submitted_mail_is_of_its_keys_brand_and_from_its_domain(ledger, brands):
    async with posting(ledger) as post:
        key, plain = await post.key(brand="acme"), await post.key("blog")
        mail, own = letter(), letter()
        del own["From"]
        own["From"] = "Acme <billing@acme.example>"
        assert (await post.submit(key, own, sender="billing@acme.example"))[0] == 250
        assert (await post.submit(key, mail))[0] == 550
        assert (await post.submit(plain, own, sender="billing@acme.example"))[0] == 550
        assert (await post.submit(plain, mail))[0] == 250
    assert {(row.client, row.brand) for row in await rows(ledger)} == {("shop", "acme"), ("blog", None)}
