"""Checking a code over HTTP: the one that was mailed, once, by the client that had it sent."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from support.delivery import send, taken_up
from support.minted_codes import another

from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.verification.codes import mint

pytestmark = pytest.mark.anyio

ROUTE = "/v1/verifications/check"
SIGNUP = {
    "type": "signup-verification",
    "recipient": {"id": "ada", "email": "ada@a.example"},
    "data": {"product": "Harbour", "verify_url": "https://app.example/verify"},
}


async def mailed(site, shop):
    """The code and the link that the mail to ada has, made and sent as a worker does."""
    assert (await shop.post("/v1/notifications", json=SIGNUP)).status_code == 202
    batch, [one] = await taken_up(site.ledger, "signup-verification")
    runtime = Runtime(Settings(secret_key=site.secret_key.decode()), site.ledger, [])
    made = (await mint(runtime, [one]))[one.id]
    await send(site.ledger, batch, one.id)
    return made


async def check(client, **asked) -> str:
    answer = await client.post(ROUTE, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@pytest.mark.parametrize("recipient", ["ada", "ada@a.example", "ADA@A.example"])
async def test_the_code_of_the_mail_is_right_once(site, shop, recipient):
    code = (await mailed(site, shop))["code"]
    asked = [another(code), f"{code[:3]}-{code[3:]}", code]
    assert [await check(shop, recipient=recipient, code=one) for one in asked] == [
        "wrong",
        "verified",
        "used",
    ]


async def test_the_links_token_is_right_once_and_the_code_with_it(site, shop):
    made = await mailed(site, shop)
    [token] = parse_qs(urlsplit(made["link"]).query)["token"]
    assert await check(shop, token=f"{token}x") == "unknown"
    assert [await check(shop, token=token) for _ in range(2)] == ["verified", "used"]
    assert await check(shop, recipient="ada", code=made["code"]) == "used"


async def test_a_code_and_a_link_are_right_for_the_type_that_sent_them_alone(site, shop):
    made = await mailed(site, shop)
    by_code, by_link = {"recipient": "ada", "code": made["code"]}, {"token": made["token"]}
    assert [await check(shop, **asked, type="sign-in-code") for asked in (by_code, by_link)] == [
        "unknown"
    ] * 2
    assert await check(shop, **by_code, type="signup-verification") == "verified"


async def test_the_code_that_arrived_is_right_after_another_was_asked_for(site, shop):
    first = (await mailed(site, shop))["code"]
    assert (await shop.post("/v1/notifications", json=SIGNUP)).status_code == 202
    assert await check(shop, recipient="ada", code=first) == "verified"


async def test_five_wrong_tries_end_it_at_once_or_one_by_one(site, shop):
    code = (await mailed(site, shop))["code"]
    found = await asyncio.gather(*(check(shop, recipient="ada", code=another(code)) for _ in range(12)))
    assert found.count("wrong") == 4
    assert await check(shop, recipient="ada", code=code) == "ended"


async def test_another_clients_code_is_unknown_and_its_tries_are_not_counted(site, shop):
    made = await mailed(site, shop)
    other = await site.client("blog")
    [token] = parse_qs(urlsplit(made["link"]).query)["token"]
    for _ in range(6):
        assert await check(other, recipient="ada", code=made["code"]) == "unknown"
    assert await check(other, token=token) == "unknown"
    assert await check(shop, recipient="ada", code=made["code"]) == "verified"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "123456"},
        {"recipient": "ada"},
        {"token": "t", "code": "123456"},
        {"token": None, "recipient": "ada", "code": "1"},
        {"token": ""},
        {"recipient": "a\0", "code": "1"},
        {"recipient": "ada", "code": 123456},
        {"recipient": "ada", "code": "1" * 501},
        {"recipient": ["ada"], "code": "1"},
        [],
        "ada",
    ],
)
async def test_what_is_no_check_is_told_so(shop, body):
    answer = await shop.post(ROUTE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("code", ["١٢٣٤٥٦", "' OR 1=1", "💩", "\u202e123456", "000000\n"])
async def test_an_odd_code_is_a_wrong_one(site, shop, code):
    made = await mailed(site, shop)
    assert await check(shop, recipient="ada", code=code) == "wrong"
    assert await check(shop, recipient="ada", code=made["code"]) == "verified"


@pytest.mark.parametrize(
    "recipient", ["@", "a@b@c", "Ada <ada@a.example>", "tel:", "+", "\u202e", "ada@" + "a" * 400]
)
async def test_an_odd_recipient_is_an_unknown_one(site, shop, recipient):
    made = await mailed(site, shop)
    assert await check(shop, recipient=recipient, code=made["code"]) == "unknown"


async def test_it_is_for_keys_that_may_send(site):
    reader = await site.client("shop", "read", "manage")
    assert (await reader.post(ROUTE, json={"recipient": "ada", "code": "1"})).status_code == 403
