"""PostgreSQL away for longer than a lease under two workers that send: nothing is lost, nothing goes twice.

`python -m chaos.outages` (with `tests/` on the path) stops it for 41 s five times in the middle of 1,000
sends, under leases of 30 s; a test does so in less time. `--outage`, `--lease` and the like set other values.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.processes import eventually
from support.requests import alert

from benchmarks.harness.figures import Bar
from chaos import postgres
from chaos.installation import Books, Installation, Worker, installation
from chaos.servers import PrefectServer, mail_sink, prefect_server

CONNECTIONS = 2  # of each worker


@dataclass(frozen=True)
class Plan:
    """outage, lease and answer are seconds; answer is the time that the mail server takes per message."""

    messages: int = 1000
    outages: int = 5
    outage: float = 41.0
    lease: float = 30.0
    answer: float = 0.1


@dataclass(frozen=True)
class Totals:
    """The result. taken_back: batches that a reaper took from a worker, though both workers lived."""

    plan: Plan
    outages: int
    books: Books
    taken_back: int
    seconds: float

    def __str__(self) -> str:
        plan, found = self.plan, self.books
        return (
            f"{self.outages} outages of PostgreSQL, {plan.outage:g} s each, leases of {plan.lease:g} s: "
            f"{found.accepted} accepted, {found.lost} lost, {found.twice} twice, {found.doubtful} doubtful, "
            f"{self.taken_back} batches taken back, {self.seconds:.0f} s"
        )

    def bars(self) -> list[Bar]:
        """One bar for each promise."""
        books = self.books
        return [
            Bar("outages", self.outages, "==", self.plan.outages),
            Bar("sent", books.states.get("sent", 0), "==", self.plan.messages),
            Bar("lost", books.lost, "==", 0),
            Bar("twice", books.twice, "==", 0),
            Bar("doubtful", books.doubtful, "==", 0),
            Bar("taken-from-living-workers", self.taken_back, "==", 0),
        ]


def campaign(
    site: Installation,
    cluster: postgres.Cluster,
    plan: Plan,
    chance: random.Random,
    say: Callable[[str], None] = lambda _: None,
) -> Totals:
    """Send with two workers; stop PostgreSQL each time another share of the messages has arrived."""
    began = time.monotonic()
    site.accept("alert", (alert(to=f"o-{n}") for n in range(plan.messages)))
    workers = [site.worker() for _ in range(2)]
    made = 0
    for share in range(1, plan.outages + 1):
        arrived = plan.messages * share // (plan.outages + 2)
        eventually(lambda arrived=arrived: site.sink.to("o-") >= arrived, 300)
        if site.sink.to("o-") == plan.messages:
            break
        time.sleep(chance.random() * plan.answer)
        cluster.stop(chance.choice(("fast", "immediate")))
        time.sleep(plan.outage)
        cluster.start()
        made += 1
        say(f"outage {made} is over, {site.sink.to('o-')} have arrived, {time.monotonic() - began:.0f} s")
    site.until_ended(300)
    return Totals(plan, made, site.books(), _taken_back(workers), time.monotonic() - began)


def _taken_back(workers: list[Worker]) -> int:
    return sum(worker.log.read_text().count("lost its run") for worker in workers)


def check(totals: Totals) -> None:
    """Fail unless every promise is kept."""
    assert all(bar.met for bar in totals.bars()), "\n".join(map(str, totals.bars()))
    assert totals.books.unexplained == 0, totals


@contextmanager
def installed(
    home: Path, prefect: PrefectServer, cluster: postgres.Cluster, plan: Plan
) -> Iterator[Installation]:
    """The installation on which a campaign runs."""
    settings = {"WAYPOST_LEASE_SECONDS": str(plan.lease)}
    with (
        mail_sink(home, plan.answer) as sink,
        installation(
            home, prefect, sink, cluster.database(), settings=settings, connections=CONNECTIONS
        ) as site,
    ):
        yield site


def main(arguments: list[str]) -> None:
    """Print the totals and a bar for each promise; fail unless every promise is kept."""
    plan = _plan(arguments)
    seed = random.randrange(10**9)
    print(f"{plan}, seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="waypost-outages-") as folder,
        postgres.cluster() as cluster,
        prefect_server(Path(folder) / "prefect") as prefect,
        installed(Path(folder) / "home", prefect, cluster, plan) as site,
    ):
        totals = campaign(site, cluster, plan, random.Random(seed), lambda line: print(line, flush=True))
    print(totals, *totals.bars(), sep="\n", flush=True)
    check(totals)


def _plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m chaos.outages", description=__doc__)
    for name, value in vars(Plan()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return Plan(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
