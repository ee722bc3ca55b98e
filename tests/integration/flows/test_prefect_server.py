"""The embedded Prefect server: many writers at once, queues that are paused, and who may speak to it."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import httpx
import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from uuid_utils.compat import uuid7
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.anyio

WRITERS = 60


@pytest.fixture
async def http(server):
    async with httpx.AsyncClient(base_url=f"{server.api}/", timeout=60) as opened:
        yield opened


@pytest.fixture
async def queue(client):
    """The path of a work queue of the test's own."""
    pool = f"pool-{uuid7().hex}"
    await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    await client.create_work_queue("urgent", work_pool_name=pool)
    return f"work_pools/{pool}/queues/urgent"


async def paused(http, queue, is_paused):
    """The status of the response, the status of the queue afterwards, and the seconds it took."""
    began = time.monotonic()
    answer = await http.patch(queue, json={"is_paused": is_paused})
    seconds = time.monotonic() - began
    return answer.status_code, (await http.get(queue)).json()["is_paused"], seconds


async def test_a_work_queue_is_paused_and_resumed_at_once(http, queue):
    for wanted in (True, False):
        status, is_paused, seconds = await paused(http, queue, wanted)
        assert (status, is_paused) == (204, wanted)
        assert seconds < 5, "a session that waits for the one around it ends after 30 s"


async def test_writers_at_once_wait_for_each_other_and_are_never_answered_503(http, queue):
    flow = (await http.post("flows/", json={"name": uuid7().hex})).json()["id"]

    async def run():
        made = await http.post("flow_runs/", json={"flow_id": flow, "state": {"type": "PENDING"}})
        made.raise_for_status()
        state = {"state": {"type": "RUNNING"}}
        begun = await http.post(f"flow_runs/{made.json()['id']}/set_state", json=state)
        begun.raise_for_status()

    *_, pause = await asyncio.gather(*(run() for _ in range(WRITERS)), paused(http, queue, True))
    assert pause[:2] == (204, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://localhost:{port}"}, 200),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://shop.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "shop.example"}, 400),
        ({"Host": "shop.example", "Origin": "http://shop.example"}, 400),
    ],
)
async def test_only_pages_of_its_own_are_served(server, http, headers, status):
    port = urlsplit(server.api).port
    sent = {name: value.format(port=port) for name, value in headers.items()}
    answer = await http.post("flows/filter", json={}, headers=sent)
    assert answer.status_code == status
    allowed = sent.get("Origin") if status == 200 else None
    assert answer.headers.get("access-control-allow-origin") == allowed


async def test_a_page_from_elsewhere_hears_no_events(server):
    url = server.api.replace("http://", "ws://") + "/events/out"
    with pytest.raises(InvalidStatus, match="403"):
        async with connect(url, origin="http://shop.example", subprotocols=["prefect"]):
            pass
