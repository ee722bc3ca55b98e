"""Who may come in: keys that work, those that do not, and what many wrong ones cost."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from support.ledger import rows

from waypost.gateway.auth import key_format as keys
from waypost.ledger.records import api_keys
from waypost.system.clock import now

pytestmark = pytest.mark.anyio

ROUTE = "/v1/types"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Basic d3A6d3A=",
        "Bearer wp_",
        "Bearer a.b.c",
        f"Bearer {keys.mint().text}",
        f"Bearer {keys.mint().text}x",
        "Bearer " + "x" * 20_000,
        b"Bearer \xff\xfe",
    ],
    ids=count(),
)
async def test_what_is_no_key_opens_nothing(site, authorization):
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await site.bare().get(ROUTE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_opens_with_its_own_secret_alone(site):
    first, second = await site.key(), await site.key()
    mixed = first[:16] + second[16:]
    assert (await site.bare(first).get(ROUTE)).status_code == 200
    assert (await site.bare(mixed).get(ROUTE)).status_code == 401


async def test_an_expired_key_is_told_like_a_wrong_one(site):
    expired = await site.key(expires_at=now() - timedelta(seconds=1))
    wrong = await site.bare(keys.mint().text).get(ROUTE)
    answer = await site.bare(expired).get(ROUTE)
    assert (answer.status_code, answer.json()) == (401, wrong.json())


async def test_a_revoked_key_opens_nothing_a_second_later(site):
    key = await site.key()
    client = site.bare(key)
    assert (await client.get(ROUTE)).status_code == 200
    await api_keys.end(site.ledger, keys.parse_key(key)[0])
    await asyncio.sleep(1)
    assert (await client.get(ROUTE)).status_code == 401


async def test_a_key_for_one_type_sends_no_other(site):
    client = await site.client("shop", "send:alert")
    answer = await client.post("/v1/notifications", json={"type": "order-confirmation"})
    assert answer.status_code == 403
    assert await rows(site.ledger) == []


async def test_a_key_makes_as_many_requests_as_it_may_and_then_waits(site):
    client = await site.client(rate=5)
    answers = await asyncio.gather(*(client.get(ROUTE) for _ in range(60)))
    assert sum(one.status_code == 200 for one in answers) >= 5
    refused = next(one for one in answers if one.status_code != 200)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
    await asyncio.sleep(int(refused.headers["retry-after"]))
    assert (await client.get(ROUTE)).status_code == 200


async def test_a_key_works_as_soon_as_it_is_made(site):
    assert (await (await site.client()).get(ROUTE)).status_code == 200
    for _ in range(3):
        assert (await (await site.client()).get(ROUTE)).status_code == 200


async def test_the_limit_of_one_key_is_no_others(site):
    slow, other = await site.client(rate=1), await site.client()
    await asyncio.gather(*(slow.get(ROUTE) for _ in range(5)))
    assert {one.status_code for one in await asyncio.gather(*(other.get(ROUTE) for _ in range(20)))} == {200}


async def test_a_thousand_wrong_keys_cost_few_queries_and_no_one_elses_turn(site):
    asked: list[str] = []
    engine = getattr(site.ledger.engine, "sync_engine", site.ledger.engine)
    sa.event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    right = await site.client("shop", "read")
    asked.clear()
    began = time.monotonic()
    guessing = [asyncio.create_task(guesses(site.url, 100)) for _ in range(10)]
    assert {(await right.get(ROUTE)).status_code for _ in range(10)} == {200}
    assert [await each for each in guessing] == [100] * 10
    reads = [one for one in asked if one.startswith("SELECT api_keys.")]
    assert len(reads) <= 20 * (time.monotonic() - began) + 20  # a second, whoever asks; and a second's worth
    assert len(reads) < 500


async def guesses(url: str, count: int) -> int:
    """So many requests with keys that nobody made, over one connection; how many were refused."""
    reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    refused = 0
    for number in range(count):
        last = "Connection: close\r\n" if number == count - 1 else ""
        authorization = f"Authorization: Bearer {keys.mint().text}\r\n"
        writer.write(f"GET {ROUTE} HTTP/1.1\r\nHost: a\r\n{authorization}{last}\r\n".encode())
        refused += b"HTTP/1.1 401" in await reader.readuntil(b"\r\n\r\n")
        # The body lies before the next answer's first line.
    writer.close()
    return refused


async def test_while_the_keys_cannot_be_read_nothing_is_opened_and_it_is_no_mistake_of_ours(site):
    client = await site.client()
    assert (await client.get(ROUTE)).status_code == 200
    await site.ledger.write(
        lambda connection: connection.execute(sa.text("ALTER TABLE api_keys RENAME TO away"))
    )
    try:
        await asyncio.sleep(0.6)
        answer = await client.get(ROUTE)
    finally:
        await site.ledger.write(
            lambda connection: connection.execute(sa.text("ALTER TABLE away RENAME TO api_keys"))
        )
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert (await client.get(ROUTE)).status_code == 200
