"""Gateways that die under load, and several on one ledger."""

from __future__ import annotations

import asyncio
import json
import random

import httpx
import pytest
from chaos import gateways
from chaos.installation import installation
from chaos.servers import mail_sink
from support.requests import order

pytestmark = pytest.mark.long
POSTS = 300


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_five_gateways_killed_under_load_lose_nothing_they_had_answered(name, request, tmp_path, capsys):
    database = None if name == "sqlite" else request.getfixturevalue("cluster").database()
    seed = random.randrange(10**9)
    totals = gateways.run(tmp_path / "home", database, 5, seed)
    with capsys.disabled():
        print(f"\n{name}: {totals} (seed {seed})")
    gateways.check(totals)


def test_two_gateways_and_two_workers_on_one_ledger_send_each_post_once(prefect, cluster, tmp_path):
    settings = {"WAYPOST_WORK_POOL": "gateways"}
    with (
        mail_sink(tmp_path) as sink,
        installation(tmp_path / "home", prefect, sink, cluster.database(), settings=settings) as site,
    ):
        key = json.loads(site.command("keys", "create", "shop", "--json").stdout)["key"]
        doors = [site.start("waypost", "gateway", "--port", "0") for _ in range(2)]
        workers = [site.worker() for _ in range(2)]
        urls = [one.until(gateways.LISTENS, 120).log.read_text().split(gateways.LISTENS)[1] for one in doors]
        for worker in workers:
            worker.until("taking runs of the pool", 120)
        ids = asyncio.run(_post_everywhere([url.split(";")[0] for url in urls], key))
        assert len(set(ids)) == POSTS
        assert site.until_ended() == {"sent": POSTS}
        books = site.books()
        assert (books.accepted, books.lost, books.twice) == (POSTS, 0, 0)


async def _post_everywhere(urls: list[str], key: str) -> list[str]:
    """Send each post to both gateways at once under one key; returns the ids from both."""
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        room = asyncio.Semaphore(16)

        async def post(number: int) -> str:
            body = {"type": "order-confirmation", **order(f"G-{number}")}
            headers = {"idempotency-key": f"k-{number}"}
            async with room:
                answers = await asyncio.gather(
                    *(client.post(f"{url}/v1/notifications", json=body, headers=headers) for url in urls)
                )
            assert {one.status_code for one in answers} == {202}, answers[0].text
            [id] = {one.json()["id"] for one in answers}
            return id

        return await asyncio.gather(*(post(number) for number in range(POSTS)))
