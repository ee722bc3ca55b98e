"""Kills gateways with -9 while applications post to them: every post answered with 202 is in the ledger, and
a post retried under its key is there once.

`python -m chaos.gateways` (with `tests/` on the path) kills 200, half on each database; a test kills fewer.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import sqlalchemy as sa
from support import forks, processes
from support.processes import eventually
from support.requests import order

from chaos import postgres
from chaos.installation import Worker
from chaos.servers import end, launch
from waypost.config.settings import Settings
from waypost.ledger import open_ledger

APPLICATIONS = 16
BETWEEN = (0.05, 1.5)  # seconds a gateway lives under load
LISTENS = "gateway at "


@dataclass(frozen=True)
class Totals:
    """The result of a campaign. again: posts made more than once. missing: answered 202, and no row."""

    kills: int
    answered: int
    again: int
    missing: int
    rows: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.kills} gateways killed, {self.answered} posts answered, {self.again} of them made again, "
            f"{self.missing} missing, {self.rows} rows, {self.seconds:.0f} s"
        )


@dataclass
class Door:
    """The gateway that is alive, and the ids that the applications got, by key."""

    environment: dict[str, str]
    home: Path
    url: str = ""
    answered: dict[str, str] = field(default_factory=dict)
    again: int = 0
    _started: list[Worker] = field(default_factory=list)

    def spare(self) -> Worker:
        """A gateway process that has not begun yet."""
        log = self.home / f"gateway-{len(self._started)}.log"
        command = [sys.executable, "-m", "chaos.spare"]
        self._started.append(Worker(launch(command, self.environment, log), log))
        return self._started[-1]

    async def open(self, spare: Worker) -> Worker:
        """Let `spare` begin; from now on the applications post to its address."""
        spare.begin("gateway --port 0")
        await asyncio.to_thread(spare.until, LISTENS)
        self.url = spare.log.read_text().partition(LISTENS)[2].split(";")[0]
        return spare

    def stop(self) -> None:
        for one in self._started:
            if one.process.poll() is None:
                end(one.process)


async def campaign(door: Door, key: str, kills: int, chance: random.Random) -> Totals:
    """Kill gateways under the load of 16 applications, each at a random moment of its life."""
    began = time.monotonic()
    living = await door.open(door.spare())
    stop = asyncio.Event()
    posting = [asyncio.create_task(_application(door, key, number, stop)) for number in range(APPLICATIONS)]
    for _ in range(kills):
        spare, before = door.spare(), len(door.answered)
        await asyncio.to_thread(spare.until, "prepared")
        await asyncio.to_thread(eventually, lambda before=before: len(door.answered) > before, 60)
        await asyncio.sleep(chance.uniform(*BETWEEN))
        living.kill()
        living = await door.open(spare)
    stop.set()
    await asyncio.gather(*posting)
    ids = await _ids(door.environment)
    return Totals(
        kills=kills,
        answered=len(door.answered),
        again=door.again,
        missing=len(set(door.answered.values()) - ids),
        rows=len(ids),
        seconds=time.monotonic() - began,
    )


async def _application(door: Door, key: str, number: int, stop: asyncio.Event) -> None:
    """Post one order after the other; without a response, post the same order again under its key."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, timeout=10) as client:
        count = 0
        while not stop.is_set():
            name = f"{number}-{count}"
            door.answered[name] = await _post(door, client, name)
            count += 1


async def _post(door: Door, client: httpx.AsyncClient, name: str) -> str:
    body = {"type": "order-confirmation", **order(name)}
    tries = 0
    while True:
        tries += 1
        try:
            answer = await client.post(
                f"{door.url}/v1/notifications", json=body, headers={"idempotency-key": name}
            )
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
            continue
        assert answer.status_code == 202, answer.text
        door.again += tries > 1
        return answer.json()["id"]


async def _ids(environment: dict[str, str]) -> set[str]:
    named = environment.get("WAYPOST_DATABASE_URL")
    settings = Settings.model_validate({"home": environment["WAYPOST_HOME"], "database_url": named})
    ledger = open_ledger(settings.ledger_url)
    try:
        wanted = sa.text("SELECT id FROM notifications")
        rows = await ledger.read(lambda connection: connection.execute(wanted).all())
        return {str(UUID(str(row[0]))) for row in rows}
    finally:
        await ledger.close()


def run(
    home: Path, database: str | None, kills: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> Totals:
    """Run a campaign on a ledger of its own."""
    home.mkdir(parents=True, exist_ok=True)
    named = {"WAYPOST_DATABASE_URL": database} if database else {}
    environment = processes.environment(home, PREFECT_API_URL="http://127.0.0.1:9/api", **named)
    _command(environment, "db", "upgrade")
    key = json.loads(_command(environment, "keys", "create", "shop", "--json"))["key"]
    door = Door(environment, home)
    try:
        totals = asyncio.run(campaign(door, key, kills, random.Random(seed)))
    finally:
        door.stop()
    say(str(totals))
    return totals


def _command(environment: dict[str, str], *arguments: str) -> str:
    done = forks.run(processes.command(*arguments), 120, env=environment)
    done.check_returncode()
    return done.stdout


def check(totals: Totals) -> None:
    """Fail unless every promise is kept."""
    assert totals.missing == 0, totals
    assert totals.rows == totals.answered, totals


def main(kills: int) -> None:
    """Make half of the kills on each database; print the totals and fail unless every promise is kept."""
    seed = random.randrange(10**9)
    print(f"{kills} gateways to kill, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="waypost-gateways-") as folder, postgres.cluster() as cluster:
        for name, database in (("sqlite", None), ("postgresql", cluster.database())):
            totals = run(Path(folder) / name, database, kills // 2, seed)
            print(f"{name}: {totals}", flush=True)
            check(totals)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
