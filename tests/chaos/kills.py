"""Kills workers with -9 while they send, again and again: nothing is lost, and only messages in doubt are
sent twice.

`python -m chaos.kills` (with `tests/` on the path) kills 200; a test kills fewer.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.requests import alert

from chaos import postgres
from chaos.installation import Books, Installation, Worker, installation
from chaos.servers import PrefectServer, mail_sink, prefect_server
from waypost.ledger.queue.reaper import LOST

MESSAGES = 1000
CONNECTIONS = 8
LAST_CHANCE = 0.95  # the share of a round's messages before whose arrival a kill falls


@dataclass(frozen=True)
class Totals:
    """The result of a campaign. most: most doubtful at one kill. gone: accepted, and no row in the ledger."""

    kills: int
    books: Books
    gone: int
    most: int
    seconds: float

    def __str__(self) -> str:
        found = self.books
        return (
            f"{self.kills} kills, {found.accepted} accepted, {found.lost + self.gone} lost, "
            f"{found.twice} twice, {found.doubtful} doubtful, at most {self.most} doubtful at one kill, "
            f"{found.unexplained} unexplained, {self.seconds:.0f} s"
        )


def campaign(
    site: Installation,
    kills: int,
    messages: int,
    chance: random.Random,
    say: Callable[[str], None] = lambda _: None,
) -> Totals:
    """Kill `kills` workers, each at a random moment of sending `messages` notifications of its own."""
    began = time.monotonic()
    working, accepted, killed_at = site.worker(), 0, list[float]()
    for number in range(1, kills + 1):
        spare = site.spare()
        accepted += _accept(site, number, messages)
        _wait_for_a_moment(site, working, number, messages, chance)
        working.kill()
        killed_at.append(time.time())
        spare.begin()
        working = spare
        if not number % 10:
            say(f"{number} kills, {time.monotonic() - began:.0f} s")
    site.until_ended(300)
    books = site.books()
    return Totals(
        kills=kills,
        books=books,
        gone=accepted - books.accepted,
        most=max(doubtful_by_kill(site, killed_at).values(), default=0),
        seconds=time.monotonic() - began,
    )


def _accept(site: Installation, number: int, messages: int) -> int:
    return site.accept("alert", (alert(to=f"k{number}-{n}") for n in range(messages)))


def _wait_for_a_moment(
    site: Installation, working: Worker, number: int, messages: int, chance: random.Random
) -> None:
    """Wait for a random moment between this round's first and last message."""
    arrived = chance.randrange(1, int(messages * LAST_CHANCE))
    deadline = time.monotonic() + 120
    while site.sink.to(f"k{number}-") < arrived:
        assert time.monotonic() < deadline, working.log.read_text()[-2000:]
        time.sleep(0.01)
    time.sleep(chance.random() / 50)


def doubtful_by_kill(site: Installation, killed_at: list[float]) -> Counter[int]:
    """How many attempts each kill left in doubt: those begun since the previous kill."""
    rows = site.query(f"SELECT started_at FROM attempts WHERE words = '{LOST}'")
    started = [_moment(row[0]) for row in rows]
    return Counter(sum(at < moment for at in killed_at) for moment in started)


def _moment(value: datetime | str) -> float:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def main(kills: int) -> None:
    """Print the totals of both databases, and fail unless every promise is kept."""
    seed = random.randrange(10**9)
    print(f"{kills} kills, seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="waypost-kills-") as folder,
        postgres.cluster() as cluster,
        prefect_server(Path(folder) / "prefect") as prefect,
    ):
        for name, totals in side_by_side(kills, Path(folder), prefect, cluster, seed, print).items():
            print(f"{name}: {totals}", flush=True)
            check(totals)


def side_by_side(
    kills: int,
    folder: Path,
    prefect: PrefectServer,
    cluster: postgres.Cluster,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
    messages: int = MESSAGES,
) -> dict[str, Totals]:
    """Make half of the kills on each database, at once: a campaign mostly waits for its workers."""

    def on(name: str, site: Installation) -> Totals:
        return campaign(site, kills // 2, messages, random.Random(seed), lambda line: say(f"{name}: {line}"))

    databases = {"sqlite": None, "postgresql": cluster.database()}
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        # One after the other: migrations keep their state in globals.
        sites = {
            name: stack.enter_context(installed(folder / name, prefect, database, name))
            for name, database in databases.items()
        }
        going = {name: pool.submit(on, name, site) for name, site in sites.items()}
        return {name: one.result() for name, one in going.items()}


@contextmanager
def installed(home: Path, prefect: PrefectServer, database: str | None, pool: str) -> Generator[Installation]:
    """The installation on which a campaign runs."""
    settings = {"WAYPOST_LEASE_SECONDS": "2", "WAYPOST_WORK_POOL": pool}
    with (
        mail_sink(home) as sink,
        installation(home, prefect, sink, database, settings=settings, connections=CONNECTIONS) as site,
    ):
        yield site


def check(totals: Totals) -> None:
    """Fail unless every promise is kept."""
    books = totals.books
    assert totals.gone == books.lost == books.unexplained == 0, totals
    assert books.states.keys() <= {"sent", "held"}, books.states
    assert books.twice <= books.doubtful, totals
    assert totals.most <= CONNECTIONS, totals


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
