"""A batch of 5,000 orders from claim to outcome, beside nodemailer's pool that only builds and sends them.

Our side is the flow itself in one process, against a real Prefect server: the batch is taken up, each order
looked up, rendered in its language, built, given an attempt in the ledger, sent and its outcome written.
nodemailer gets the same orders as rendered by the templates, and builds and sends them. Same sink, same
number of connections, in turns; the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.harness import databases, installed, sample_mails, sample_orders, servers
from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.processes import ROOT, environment, python, run_to_end
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import FastSink, fast
from waypost.config.settings import Settings

CONNECTIONS = 64
ORDERS = 5000
ROUNDS = 3
PEER = ROOT / "benchmarks" / "nodemailer"


async def measure() -> Measured:
    """Three rounds of PostgreSQL, SQLite and nodemailer in turn."""
    with servers.new_home() as home:
        modules = await installed.node_modules(PEER)
        mails = _mails(home)
        async with fast(home) as sink, servers.server_alone(home) as api, _ledgers(home) as ledgers:
            rates: dict[str, list[float]] = {name: [] for name in (*ledgers, "nodemailer")}
            for number in range(ROUNDS):
                for name, url in ledgers.items():
                    rates[name].append(await _ours(home, api, url, sink, number))
                    say(f"{name:12} {rates[name][-1]:6.0f}/s")
                rates["nodemailer"].append(await _theirs(modules, mails, sink))
                say(f"nodemailer   {rates['nodemailer'][-1]:6.0f}/s")
            name = sink.name
    print(f"{ORDERS} orders over {CONNECTIONS} connections to {name}; median of {ROUNDS} rounds")
    for side, found in rates.items():
        print(f"  {side:12} {statistics.median(found):7.0f} /s")
    ratios = {side: _ratio(found, rates["nodemailer"]) for side, found in rates.items()}
    bars = [Bar(f"road_{side.lower()}_ratio", ratios[side], ">=", 1.5) for side in ledgers]
    return Measured(bars, {"a second": rates})


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


@asynccontextmanager
async def _ledgers(home: Path) -> AsyncGenerator[dict[str, str]]:
    async with databases.fresh("road") as (postgres,):
        yield {"PostgreSQL": postgres, "SQLite": f"sqlite:///{home / 'road.db'}"}


async def _ours(home: Path, api: str, ledger: str, sink: FastSink, number: int) -> float:
    env = environment(
        home,
        PREFECT_API_URL=api,
        WAYPOST_DATABASE_URL=ledger,
        WAYPOST_SMTP_URL=sink.url(CONNECTIONS),
        WAYPOST_TEMPLATES=str(ROOT / "templates"),
    )
    run = python("benchmarks.delivery.end_to_end_run", str(number), str(ORDERS))
    return ORDERS / float(await run_to_end(run, env))


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
