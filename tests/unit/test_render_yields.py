"""A batch of any size leaves the loop to others every few milliseconds."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

import orjson
import pytest
from support.flow_steps import within
from support.stopwatch import LONGEST_HOLD, TRIES, settle, slowness
from uuid_utils.compat import uuid7

from waypost import Batch
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import open_ledger
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.tasks.render import render_batch

pytestmark = pytest.mark.anyio
ORDERS = Path(__file__).parents[2] / "waypost" / "demo" / "orders.jsonl"


def orders(count):
    moment = datetime.now(UTC)
    for line in islice(cycle(ORDERS.read_bytes().splitlines()), count):
        request = orjson.loads(line)
        person = ResolvedRecipient("ada", "ada@a.example", None, "Ada", request["recipient"]["locale"], "UTC")
        yield Notification(
            uuid7(), TYPE.name, TYPE.lane, person, request["data"], 1, moment, moment + timedelta(hours=1)
        )


@pytest.fixture
async def runtime(tmp_path):
    settings = Settings(home=tmp_path, sender="Shop <s@a.example>")
    runtime = Runtime(settings, open_ledger(settings.ledger_url, settings.lease), [MemoryChannel()])
    yield runtime
    await runtime.close()


async def longest_hold(work):
    """The most computing that was done between two turns of the loop while `work` ran, in seconds."""
    holds = []
    while not work.done():
        before = time.thread_time()
        await asyncio.sleep(0)
        holds.append(time.thread_time() - before)
    return max(holds)


async def test_ten_batches_at_once_do_not_hold_the_loop_for_50_ms(runtime):
    settle()
    holds = []
    while not holds or (min(holds) > LONGEST_HOLD * slowness() and len(holds) < TRIES):
        held, errors = await within(runtime, _render_ten_batches())
        assert errors == [None] * 1500
        holds.append(held)
    assert min(holds) < LONGEST_HOLD * slowness()


async def _render_ten_batches():
    await render_batch.fn(Batch(TYPE, uuid7(), list(orders(40))))  # its templates are loaded
    batches = [Batch(TYPE, uuid7(), list(orders(150))) for _ in range(10)]
    work = asyncio.gather(*(render_batch.fn(batch) for batch in batches))
    held = await longest_hold(work)
    return held, [rendered.error for batch in await work for rendered in batch]
