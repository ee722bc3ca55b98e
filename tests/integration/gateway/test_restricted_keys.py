"""A key for tests or a team: its requests go to the addresses that it names, and nowhere else."""

from __future__ import annotations

import pytest
from support.delivery import taken_up
from support.requests import order
from support.smtp_submission import SENDER, plain

pytestmark = pytest.mark.anyio

ROUTE = "/v1/notifications"
ONLY = ["ada@a.example", "@team.example", "+491701234512"]
SAYS = "this API key sends only to ada@a.example, @team.example, +491701234512"


def ordered(**recipient):
    return {"type": "order-confirmation", "recipient": recipient, "data": order("A-1")["data"]}


@pytest.fixture
async def tester(site):
    return await site.client("shop", only_to=ONLY)


@pytest.mark.parametrize(
    ("recipient", "fault"),
    [
        ({"email": "bob@a.example"}, ("recipient.email", SAYS)),
        ({"email": "ada@sub.team.example"}, ("recipient.email", SAYS)),
        ({"email": "ada@a.example", "phone": "+4930123456"}, ("recipient.phone", SAYS)),
        ({"id": "ada"}, ("recipient", f"{SAYS}, and the request has to name the address")),
    ],
)
async def test_another_address_is_refused_with_a_sentence(tester, recipient, fault):
    answer = await tester.post(ROUTE, json=ordered(**recipient))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    assert [tuple(one.values()) for one in answer.json()["errors"]] == [fault]


@pytest.mark.parametrize("email", ["ADA@a.example", "anybody@TEAM.example"])
async def test_its_own_addresses_are_accepted(tester, email):
    assert (await tester.post(ROUTE, json=ordered(email=email))).status_code == 202


async def test_a_stored_address_is_not_used(site, shop, tester):
    await shop.put("/v1/recipients/ada", json={"email": "x@b.example", "phone": "+4930123456"})
    answer = await tester.post(ROUTE, json=ordered(id="ada", email="ada@a.example"))
    assert answer.status_code == 202, answer.text
    _, [one] = await taken_up(site.ledger, "order-confirmation")
    assert (one.recipient.email, one.channels) == ("ada@a.example", ["email"])


async def test_an_item_of_a_batch_is_refused_alone(tester):
    items = [ordered(email="bob@a.example"), ordered(email="ada@a.example")]
    answer = await tester.post(f"{ROUTE}/batch", json={"notifications": items})
    assert [one["status"] for one in answer.json()["results"]] == [403, 202]


async def test_another_key_of_the_client_is_not_restricted(shop, tester):
    assert (await shop.post(ROUTE, json=ordered(email="bob@a.example"))).status_code == 202


async def test_a_submitted_mail_to_another_address_is_refused_for_that_recipient(post):
    key = await post.key(only_to=ONLY)
    heard = await post.talk(
        b"EHLO app\r\n", plain(key), f"MAIL FROM:<{SENDER}>\r\n".encode(), b"RCPT TO:<bob@a.example>\r\n",
        b"RCPT TO:<anybody@team.example>\r\n", b"QUIT\r\n",
    )  # fmt: skip
    *_, bob, anybody, _ = heard.splitlines()
    assert bob == f"550 5.7.1 {SAYS}".encode()
    assert anybody.startswith(b"250")
