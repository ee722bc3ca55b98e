"""A provider's rate, counted by a real Prefect server for all workers at once."""

import asyncio
import time
from uuid import uuid4

import httpx
import pytest
from ledgers import NOTE

from tasks.rates import Shared, limit_name
from tasks.way import dispatch_of
from waypost import Batch, Priority
from waypost.provider import Provider
from waypost.rate import Rate
from waypost.settings import Settings

pytestmark = pytest.mark.anyio


def worker(name, per_second):
    rate = Rate(per_second)
    rate.share(Shared(name, rate).acquire)
    return rate


async def test_two_workers_share_one_rate(server, client):
    one, other = (worker("shared", 20) for _ in range(2))
    began = time.monotonic()
    for _ in range(50):
        await asyncio.gather(one.take(Priority.URGENT), other.take(Priority.URGENT))
    took = time.monotonic() - began
    limit = await client.read_global_concurrency_limit_by_name(limit_name("shared"))
    assert (limit.limit, limit.slot_decay_per_second) == (20, 20)
    assert took > 2.5, "of 100 messages at 20 a second all but the first chunks had to wait"


async def test_a_limit_that_is_too_small_for_a_chunk_is_made_as_the_settings_say(server, client):
    await client.upsert_global_concurrency_limit_by_name(limit_name("small"), 2, 2.0)
    async with asyncio.timeout(10):
        await worker("small", 50).take(Priority.NORMAL)
    assert (await client.read_global_concurrency_limit_by_name(limit_name("small"))).limit == 50


async def test_a_rate_that_was_lowered_is_lowered_for_prefect_too(server, client):
    await client.upsert_global_concurrency_limit_by_name(limit_name("lowered"), 100, 100.0)
    rate, began = worker("lowered", 5), time.monotonic()
    for _ in range(11):
        await rate.take(Priority.URGENT)
    assert time.monotonic() - began > 1
    limit = await client.read_global_concurrency_limit_by_name(limit_name("lowered"))
    assert (limit.limit, limit.slot_decay_per_second) == (5, 5)


async def test_a_limit_that_was_deleted_meanwhile_is_made_again(server, client):
    rate = worker("deleted", 2)
    for _ in range(2):
        await rate.take(Priority.URGENT)
    await client.delete_global_concurrency_limit_by_name(limit_name("deleted"))
    async with asyncio.timeout(10):
        await rate.take(Priority.URGENT)


async def test_prefect_is_not_asked_at_every_chunk_while_it_does_not_answer(monkeypatch, server):
    asked = []

    async def nobody_there(*_, **__):
        asked.append(1)
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr("tasks.rates.rate_limit", nobody_there)
    rate = worker("away", 10)
    for _ in range(25):
        await rate.take(Priority.URGENT)
    assert len(asked) == 1


async def test_without_prefect_runs_of_one_message_keep_the_rate_together(bench, monkeypatch):
    monkeypatch.setattr("tasks.rates.alone", lambda: True)
    settings = Settings(providers={"primary": Provider(url="smtp://h", rate=5)})
    monkeypatch.setattr(bench.runtime, "settings", settings)
    began = time.monotonic()
    for _ in range(12):
        await dispatch_of(Batch(NOTE, uuid4(), []))
        await bench.runtime.standing("primary").rate.take(Priority.URGENT)
    assert time.monotonic() - began > 1


async def test_without_prefect_a_worker_keeps_the_rate_by_itself(monkeypatch, server):
    monkeypatch.setattr("tasks.rates.alone", lambda: True)
    rate = worker("nobody", 10)
    began = time.monotonic()
    for _ in range(25):
        await rate.take(Priority.URGENT)
    assert 1.5 < time.monotonic() - began < 4


async def test_a_run_keeps_its_providers_rate_and_everything_goes(bench, client, monkeypatch):
    from noteflow import note

    providers = {"primary": Provider(url="smtp://h", rate=10)}
    monkeypatch.setattr(bench.runtime, "settings", Settings(providers=providers))
    began = time.monotonic()
    report = await note([ask(n) for n in range(25)])
    assert report.states == {"sent": 25}
    assert 0.8 < time.monotonic() - began < 15
    assert len(bench.primary.sent) == 25


def ask(number):
    from ledgers import Note

    from waypost import Recipient, Request

    return Request[Note](recipient=Recipient(id=f"r{number}", email=f"r{number}@a.example"), data=Note())
