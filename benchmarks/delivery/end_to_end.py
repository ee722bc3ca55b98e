"""A batch of 5,000 orders from claim to outcome, beside nodemailer's pool that only builds and sends them.

Our side is the flow itself in one process, against a real Prefect server: the batch is taken up, each order
looked up, rendered in its language, built, given an attempt in the ledger, sent and its outcome written.
nodemailer gets the same orders as rendered by the templates, and builds and sends them. Same sink, same
number of connections, in turns; the ratio is the median of the rounds' ratios. BENCH_BEFORE names an earlier
checkout, whose own benchmark takes the same batch in turns.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import databases, installed, sample_mails, sample_orders, servers
from benchmarks.harness.checkouts import BEFORE, HERE, KEPT, checkouts, in_turn, settings_of
from benchmarks.harness.figures import Bar, Measured, median_ratio
from benchmarks.harness.processes import ROOT, environment, python, run_to_end
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import KINDS
from benchmarks.harness.sinks import FastSink, fast
from waypost.config.settings import Settings

CONNECTIONS = 64
ORDERS = 5000
ROUNDS = 3
PEER = ROOT / "benchmarks" / "nodemailer"
PROGRAMS = "benchmarks.delivery.end_to_end_run", "benchmarks.road_run"  # the second: of earlier commits


@dataclass(frozen=True, slots=True)
class Side:
    """The program of a checkout, and its ledger: of a URL, or in a home."""

    checkout: Path
    home: Path
    url: str = ""


async def measure() -> Measured:
    """Three rounds of each checkout on PostgreSQL and SQLite, and of nodemailer, in turn."""
    with servers.new_home() as home:
        modules = await installed.node_modules(PEER)
        mails = _mails(home)
        async with fast(home) as sink, servers.server_alone(home) as api, _sides(home) as sides:
            rates: dict[str, list[float]] = {name: [] for name in (*sides, "nodemailer")}
            for number in range(ROUNDS):
                for name in in_turn(sides, number):
                    rates[name].append(await _ours(api, sides[name], sink, number))
                    say(f"{name:24} {rates[name][-1]:6.0f}/s")
                rates["nodemailer"].append(await _theirs(modules, mails, sink))
                say(f"{'nodemailer':24} {rates['nodemailer'][-1]:6.0f}/s")
            name = sink.name
    print(f"{ORDERS} orders over {CONNECTIONS} connections to {name}; median of {ROUNDS} rounds")
    for side, found in rates.items():
        print(f"  {side:24} {statistics.median(found):7.0f} /s")
    bars = [bar for kind in KINDS for bar in _bars(kind, rates)]
    return Measured(bars, {"a second": rates})


def _bars(kind: str, rates: dict[str, list[float]]) -> list[Bar]:
    ours, before = rates[_name(kind, HERE)], rates.get(_name(kind, BEFORE))
    bars = [Bar(f"road_{kind.lower()}_ratio", median_ratio(ours, rates["nodemailer"]), ">=", 1.5)]
    if before:
        bars.append(Bar(f"road_{kind.lower()}_beside_before", median_ratio(ours, before), ">=", KEPT))
    return bars


@asynccontextmanager
async def _sides(home: Path) -> AsyncGenerator[dict[str, Side]]:
    """Each has a home of its own: a home that has keys and no ledger is refused."""
    compared = checkouts()
    async with databases.fresh(*(f"road{number}" for number in range(len(compared)))) as urls:
        sides: dict[str, Side] = {}
        for (name, folder), url in zip(compared.items(), urls, strict=True):
            theirs = home / f"side{len(sides)}"
            sides[_name("PostgreSQL", name)] = Side(folder, theirs / "postgres", url)
            sides[_name("SQLite", name)] = Side(folder, theirs / "sqlite")
        yield sides


def _name(kind: str, checkout: str) -> str:
    return f"{kind}, {checkout}"


async def _ours(api: str, side: Side, sink: FastSink, number: int) -> float:
    folder = side.checkout
    side.home.mkdir(parents=True, exist_ok=True)
    env = environment(
        side.home,
        PREFECT_API_URL=api,
        WAYPOST_SMTP_URL=sink.url(CONNECTIONS),
        WAYPOST_TEMPLATES=str(folder / "templates"),
        **settings_of(folder),
        **({"WAYPOST_DATABASE_URL": side.url} if side.url else {}),
    )
    program = next(name for name in PROGRAMS if (folder / f"{name.replace('.', '/')}.py").exists())
    return ORDERS / float(await run_to_end(python(program, str(number), str(ORDERS)), env, folder))


async def _theirs(modules: Path, mails: Path, sink: FastSink) -> float:
    arguments = [str(mails), sink.host, str(sink.port), str(CONNECTIONS), str(ORDERS)]
    env = {**os.environ, "NODE_PATH": str(modules)}
    return ORDERS / float(await run_to_end(["node", str(PEER / "send.js"), *arguments], env))


def _mails(home: Path) -> Path:
    """The input of nodemailer: each order's addresses, subject and both bodies."""
    file = home / "mails.jsonl"
    with file.open("w") as lines:
        for one in sample_mails.letters(sample_orders.COUNT):
            to = {"name": one.to_name, "address": one.to}
            mail = {"from": Settings().sender, "to": to, "subject": one.subject}
            lines.write(json.dumps({**mail, "text": one.plain, "html": one.html}) + "\n")
    return file
