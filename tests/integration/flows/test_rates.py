"""A provider's rate: kept for all workers by the ledger, shown by a real Prefect server."""

import time
from contextlib import contextmanager

import pytest
from chaos.line import Weather, line
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.flow_steps import reported
from support.ledger import Note
from support.note_flow import note

from waypost import Priority, Recipient, Request
from waypost.delivery.rate_limiter import RateLimiter
from waypost.model.provider import Provider
from waypost.tasks.providers.rate_limit import Shown, limit_name
from waypost.tasks.run_context import without_prefect

pytestmark = pytest.mark.anyio


async def at_once(_count):
    """The ledger lets them go."""


def shown_rate(name, per_second):
    """A provider's rate, and how Prefect is told of it."""
    rate = RateLimiter(per_second, at_once)
    told = Shown(name, rate)
    rate.on_draw = told.draw
    return rate, told


async def limit(client, name, told):
    """The limit once Prefect has been told."""
    await told._telling
    return await client.read_global_concurrency_limit_by_name(limit_name(name))


async def test_prefect_shows_the_rate_and_how_much_of_it_goes(client):
    rate, told = shown_rate("shown", 20)
    await rate.acquire(Priority.URGENT)
    found = await limit(client, "shown", told)
    assert (found.limit, found.slot_decay_per_second) == (20, 20)
    assert found.active_slots > 0


@pytest.mark.parametrize("before", [(2, 2.0), (100, 100.0)])
async def test_a_limit_that_was_another_is_made_as_the_settings_say(client, before):
    name = f"changed-{before[0]}"
    await client.upsert_global_concurrency_limit_by_name(limit_name(name), *before)
    rate, told = shown_rate(name, 50)
    await rate.acquire(Priority.NORMAL)
    assert (await limit(client, name, told)).limit == 50


async def test_a_limit_that_was_deleted_meanwhile_is_made_again(client):
    rate, told = shown_rate("deleted", 1)
    await rate.acquire(Priority.URGENT)
    await limit(client, "deleted", told)
    await client.delete_global_concurrency_limit_by_name(limit_name("deleted"))
    await rate.acquire(Priority.URGENT)
    assert (await limit(client, "deleted", told)).limit == 1


@contextmanager
def prefect_by(server, weather, delay):
    """The Prefect server at the other end of a bad line."""
    with line(int(server.api.split(":")[-1].split("/")[0])) as way:
        way.delay = delay
        way.be(weather)
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{way.port}/api"}):
            yield


@pytest.mark.parametrize(
    ("weather", "delay"),
    [(Weather.GONE, 0.0), (Weather.SILENT, 0.0), *((Weather.FAIR, delay) for delay in (1, 2, 3, 5))],
)
async def test_nothing_waits_for_a_prefect_that_does_not_answer_or_is_slow(server, weather, delay):
    with prefect_by(server, weather, delay):
        rate, told = shown_rate(f"away-{weather.name.lower()}-{delay}", 10)
        for _ in range(25):
            await rate.acquire(Priority.NORMAL)
        assert not told._telling.done() or weather is Weather.GONE
        told._telling.cancel()


async def test_what_goes_without_prefect_asks_it_nothing(server):
    rate, told = shown_rate("alone", 10)
    with without_prefect():
        await rate.acquire(Priority.URGENT)
    assert told._telling is None


@pytest.mark.parametrize("alone", [True, False])
async def test_runs_keep_their_providers_rate_and_everything_goes(bench, client, monkeypatch, alone):
    providers = {"primary": Provider(url="smtp://h", rate=10)}
    monkeypatch.setattr(bench.runtime.providers, "terms", providers)
    asked = [
        Request[Note](recipient=Recipient(id=f"r{n}", email=f"r{n}@a.example"), data=Note())
        for n in range(25)
    ]
    began = time.monotonic()
    if alone:
        with without_prefect():
            reports = [reported((await note.fn(some)).data) for some in (asked[:12], asked[12:])]
    else:
        reports = [await note(asked)]
    assert sum(report.states["sent"] for report in reports) == len(bench.primary.sent) == 25
    assert 0.8 < time.monotonic() - began < 30
