"""Restarts PostgreSQL while a worker sends: nothing is lost, nothing is sent twice.

`python -m chaos.restarts` (with `tests/` on the path) restarts it every 5-40 s through 1,000 sends; a test
does so in less time.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from support.requests import alert

from chaos import postgres
from chaos.installation import Books, Installation, installation
from chaos.servers import mail_sink, prefect_server

MESSAGES = 1000


@dataclass(frozen=True)
class Totals:
    """The result. seconds: from the wait for the first restart to the last mail."""

    restarts: int
    books: Books
    seconds: float

    def __str__(self) -> str:
        found = self.books
        return (
            f"{self.restarts} restarts of PostgreSQL, {found.accepted} accepted, {found.lost} lost, "
            f"{found.twice} twice, {found.doubtful} doubtful, {self.seconds:.0f} s"
        )


def campaign(
    site: Installation, cluster: postgres.Cluster, every: tuple[float, float], chance: random.Random
) -> Totals:
    """Restart PostgreSQL, with a random pause of `every` seconds (from, to), until 1,000 notifications have
    gone out. The second restart is as after a crash."""
    site.accept("alert", (alert(to=f"p-{n}") for n in range(MESSAGES)))
    site.worker()
    began, restarts = time.monotonic(), 0
    pause = chance.uniform(*every)
    while site.sink.to("p-") < MESSAGES and time.monotonic() - began < 300:
        if time.monotonic() - began > pause:
            restarts += 1
            cluster.restart("immediate" if restarts == 2 else "fast")
            pause = time.monotonic() - began + chance.uniform(*every)
        time.sleep(0.1)
    site.until_ended(60)
    return Totals(restarts, site.books(), time.monotonic() - began)


def check(totals: Totals) -> None:
    """Fail unless every promise is kept."""
    assert totals.books.states == {"sent": MESSAGES}, totals.books
    assert totals.books.lost == totals.books.twice == totals.books.unexplained == 0, totals


def main(seconds: float) -> None:
    """Run a campaign of a thousand sends that take `seconds`, over two connections."""
    connections = 2
    seed = random.randrange(10**9)
    print(f"PostgreSQL restarted every 5-40 s, seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="waypost-restarts-") as folder,
        postgres.cluster() as cluster,
        prefect_server(Path(folder) / "prefect") as prefect,
        mail_sink(Path(folder), seconds * connections / MESSAGES) as sink,
        installation(
            Path(folder) / "home", prefect, sink, cluster.database(), connections=connections
        ) as site,
    ):
        totals = campaign(site, cluster, (5, 40), random.Random(seed))
    print(totals, flush=True)
    check(totals)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 90)
