"""The sides of benchmarks/peers: each sends its orders and records them, in small numbers."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from benchmarks.harness import installed, sinks
from benchmarks.harness.processes import run_to_end
from benchmarks.peers import kill, peer_sides, processors, road, samples, waypost_sides

pytestmark = [pytest.mark.long, pytest.mark.anyio]
SIDES = ["BullMQ", "post_office", "Celery, rendering", "procrastinate"]
RENDER = """
import json, mails, os, rendering
with open(os.environ["PEER_MAILS"], encoding="utf-8") as lines:
    orders = [json.loads(line) for line in lines]
print(json.dumps([rendering.render(order["recipient"], order["data"]) for order in orders]))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return samples.written(tmp_path_factory.mktemp("peers"))


@pytest.fixture(scope="module")
def sides(written):
    found = [*waypost_sides.sides(), *asyncio.run(peer_sides.sides(written))]
    return {side.name: side for side in found}


@pytest.mark.parametrize("name", SIDES)
async def test_thirty_mails_arrive_and_are_recorded(sides, name, tmp_path):
    async with sinks.counting(tmp_path) as sink:
        assert await road.seconds(sides[name], sink, 30, warm_up=10, rest=0) > 0
        assert sink.taken() == 40


async def test_the_processors_of_each_process_are_told(monkeypatch, capsys):
    monkeypatch.setenv("BENCH_ORDERS", "200")
    monkeypatch.setattr(processors, "REST", 0.0)
    monkeypatch.setattr(processors, "WARM_UP", 10)
    [side] = [side for side in waypost_sides.sides() if "PostgreSQL" in side.name]
    monkeypatch.setattr(waypost_sides, "sides", lambda: [side])
    found = (await processors.measure()).figures["processor seconds"][side.name]
    assert min(found[name] for name in ("Prefect server", "worker", "gateway", "PostgreSQL")) > 0
    assert "ms an order  Prefect server" in capsys.readouterr().out


async def test_a_killed_worker_is_started_again_and_its_mails_are_counted(sides):
    found = await kill.account(sides["post_office"], 300)
    assert found.after >= 120
    assert (found.lost, found.unfinished, found.doubtful) == (0, 0, None)


async def test_the_peers_render_what_waypost_renders(written):
    python = await installed.python(peer_sides.PEERS / "python")
    env = {
        **os.environ,
        "PYTHONPATH": str(peer_sides.PEERS / "python"),
        "PEER_MAILS": str(written.mails),
        "PEER_TEMPLATES": str(written.templates),
        "PEER_SMTP_HOST": "", "PEER_SMTP_PORT": "0", "PEER_CONNECTIONS": "1",
    }  # fmt: skip
    rendered = json.loads(await run_to_end([str(python), "-c", RENDER], env))
    orders = [json.loads(line) for line in written.mails.read_text(encoding="utf-8").splitlines()]
    assert [subject for subject, _, _ in rendered] == [order["subject"] for order in orders]
    sizes = [
        (len(text) + len(html), len(order["text"]) + len(order["html"]))
        for (_, text, html), order in zip(rendered, orders, strict=True)
    ]
    assert all(0.9 < theirs / ours < 1.1 for theirs, ours in sizes)
