"""A process that takes the ledger's loop step by step: `LEDGER_URL ORDERS_FILE`.

For each name of a step that it reads, it takes the step and prints a line of JSON: the milliseconds of a
notification by the clock, of this process, and of its PostgreSQL backends. It also runs with an earlier
checkout in PYTHONPATH: so it imports nothing of the benchmarks, and finds each function by the names that it
has had.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count, islice
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import orjson
import sqlalchemy as sa
import uvloop

BATCH = 500
CLIENTS = 2  # one validates while the database writes the orders of the other
CONNECTIONS = 16


def _named(*names: str) -> Any:
    """What the first of `names` that there is stands for: the present name, then those of earlier commits."""
    for name in names:
        with suppress(ImportError, AttributeError):
            return resolve_name(name)
    raise ImportError(names[0])


open_ledger = _named("waypost.ledger:open_ledger")
with_async_driver = _named("waypost.config.settings:with_async_driver", "waypost.settings:with_async_driver")
freeze_gc = _named("waypost.system.process:freeze_gc", "waypost.process:settle_in")
find = _named("waypost.deployments.registry:find", "deployments.registry:find")
TYPE = _named("waypost.flows.order_confirmation:TYPE", "flows.order_confirmation:TYPE")
accept = _named("waypost.ledger.intake.accept:accept", "waypost.ledger.intake:accept")
reserve = _named("waypost.ledger.queue.claims:reserve", "waypost.ledger.claims:reserve")
take_up = _named("waypost.ledger.queue.claims:take_up", "waypost.ledger.claims:take")
end = _named("waypost.ledger.queue.batches:end", "waypost.ledger.batches:end")
DONE = _named("waypost.ledger.queue.batches:BatchResult.DONE", "waypost.ledger.batches:Ending.DONE")
Recorder = _named("waypost.ledger.queue.recorder:Recorder", "waypost.ledger.recorder:Recorder")
Started = _named("waypost.ledger.queue.attempts:AttemptStarted", "waypost.ledger.recorder:Begin")
Finished = _named("waypost.ledger.queue.attempts:AttemptFinished", "waypost.ledger.recorder:Finish")
Decision = _named("waypost.policy.retry:Decision", "waypost.policy:Decision")
SENT = _named("waypost.model.states:State.SENT", "waypost.states:State.SENT")
OUTCOME = "waypost.model.outcome", "waypost.outcome"
Outcome, Phase, Verdict = (
    _named(*(f"{module}:{name}" for module in OUTCOME)) for name in ("Outcome", "Phase", "Verdict")
)
TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250, enhanced="2.0.0", words="Ok: queued as 4A1B2C3D")


def _asks_recipients() -> dict[str, Any]:
    """What a run says of its recipients' choices; nothing before there were any."""
    with suppress(ImportError):
        return {"policy": _named("waypost.ledger.queue.permissions:SendingPolicy").of(TYPE, {})}
    return {}


ASKS = _asks_recipients()


class Loop:
    """The ledger's loop over endless orders; each method is a step. Nothing is rendered or sent."""

    def __init__(self, ledger: Any, orders: Sequence[dict[str, Any]]) -> None:
        self._ledger = ledger
        self._lines = _lines(orders)
        self._claim: Any = None
        self._found: list[Any] = []
        self._begins: list[Any] = []

    async def prepare(self) -> None:
        """Make the lines of orders for `accept`, whose clock does not cover this."""
        self._waiting = iter(list(islice(self._lines, BATCH * CLIENTS)))

    async def accept(self) -> None:
        """Validate orders, and make them durable."""
        await asyncio.gather(*(self._accept() for _ in range(CLIENTS)))

    async def _accept(self) -> None:
        validate = find(TYPE.name).request.validate_json
        while requests := [validate(line) for line in islice(self._waiting, BATCH)]:
            await accept(self._ledger, TYPE, requests)

    async def claim(self, **more: Any) -> None:
        """Claim a batch, and take it up; nobody's choices are asked."""
        self._claim = await reserve(self._ledger, TYPE.name, TYPE.lane, BATCH)
        self._found = (await take_up(self._ledger, TYPE.name, self._claim.id, **more)).notifications
        if len(self._found) != BATCH:
            raise RuntimeError(f"{len(self._found)} of {BATCH} were claimed")

    async def claim_for_run(self) -> None:
        """Like `claim`, and as a run does it: it asks what the recipients chose."""
        await self.claim(**ASKS)

    async def attempt(self) -> None:
        """Write an attempt of each notification, all at once."""
        recorder = Recorder(self._ledger)
        self._begins = [self._begin(one) for one in self._found]
        await _all(recorder.begin(begin) for begin in self._begins)

    async def outcome(self) -> None:
        """Write the outcome of each attempt, all at once, and end the batch."""
        recorder = Recorder(self._ledger)
        await _all(recorder.finish(_finish(begin)) for begin in self._begins)
        await end(self._ledger, self._claim.id, DONE, "500 sent")

    async def connections(self) -> None:
        """Write attempts and outcomes as connections do, which wait for each, and end the batch."""
        recorder, waiting = Recorder(self._ledger), iter(self._found)
        await asyncio.gather(*(self._connection(recorder, waiting) for _ in range(CONNECTIONS)))
        await end(self._ledger, self._claim.id, DONE, "500 sent")

    async def _connection(self, recorder: Any, waiting: Iterator[Any]) -> None:
        last = None
        for one in waiting:
            begin = self._begin(one)
            await recorder.begin(begin, last)
            last = _finish(begin)
        if last is not None:
            await recorder.finish(last)

    def _begin(self, one: Any) -> Any:
        return Started(one.id, self._claim.id, "email", "smtp", None)


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """Endless orders, as the lines of a file, each with a recipient and a key of its own."""
    for number in count():
        row = rows[number % len(rows)]
        person = f"buyer-{number}"
        named = {**row["recipient"], "id": person, "email": f"{person}@northwind.example"}
        yield orjson.dumps({**row, "recipient": named, "idempotency_key": person})


async def _all(writing: Iterable[asyncio.Future[int]]) -> None:
    """Wait for each write, as connections do."""
    for one in list(writing):
        await one


_finish_sent = partial(Finished, decision=Decision(SENT), outcome=TAKEN, digest=False)


def _finish(begin: Any) -> Any:
    return _finish_sent(notification_id=begin.notification_id, batch=begin.batch, attempt=begin.id)


class Clocks:
    """The clock on the wall, and processor time: of this process, and of its backends."""

    def __init__(self, backends: Sequence[int]) -> None:
        self._backends = backends

    @classmethod
    async def of(cls, ledger: Any) -> Clocks:
        """The clocks of this process and of the backends that serve it."""
        ours = sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        if not ledger.is_postgres:
            return cls([])
        return cls(await ledger.read(lambda connection: list(connection.scalars(ours))))

    def read(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), sum(map(_seconds_of, self._backends))


def _seconds_of(pid: int) -> float:
    """Seconds of processors; 0 for a process of another machine."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


async def main(url: str, orders: Path) -> None:
    """Take a step for each line of standard input."""
    ledger = open_ledger(with_async_driver(url))
    try:
        await ledger.upgrade()
        loop = Loop(ledger, [orjson.loads(line) for line in orders.read_bytes().splitlines()])
        freeze_gc()  # as every long-lived Waypost process does
        while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
            print(orjson.dumps(await _took(loop, name, await Clocks.of(ledger))).decode(), flush=True)
    finally:
        await ledger.close()


async def _took(loop: Loop, name: str, clocks: Clocks) -> list[float]:
    """Milliseconds of a notification: by the clock, of this process, and of its backends."""
    if name == "accept":
        await loop.prepare()
    before = clocks.read()
    await getattr(loop, name)()
    items = BATCH * CLIENTS if name == "accept" else BATCH
    return [(now - then) * 1000 / items for now, then in zip(clocks.read(), before, strict=True)]


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
