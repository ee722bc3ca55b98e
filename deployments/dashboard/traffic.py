"""Traffic of the last hour and day, kept by minute: each look reads the last minutes anew, and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from waypost.ledger import Ledger
from waypost.ledger.operations import traffic
from waypost.ledger.operations.traffic import ACCEPTED, MINUTE, Minutes
from waypost.model.states import State
from waypost.system import clock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COUNTED_AGAIN = 2 * MINUTE  # a transaction may commit a while after the moment that it writes
SECONDS_A_LOOK = 0.2  # for minutes of the past that are not counted yet
QUICK, SLOW = SECONDS_A_LOOK / 8, SECONDS_A_LOOK / 2


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of the mail of one type in a period. p50, p95: seconds to the wire; None if none was
    sent."""

    accepted: int = 0
    sent: int = 0
    failed: int = 0
    expired: int = 0
    p50: float | None = None
    p95: float | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.accepted or self.sent or self.failed or self.expired)


@dataclass(slots=True)
class Traffic:
    """counted_from: all minutes from then on are counted."""

    counted_from: datetime | None = None
    _counted_to: datetime | None = None
    _minutes: Minutes = field(default_factory=Minutes)
    _span: timedelta = 10 * MINUTE

    async def look(self, ledger: Ledger, moment: datetime) -> None:
        """Count the minutes since the last look, and some of those before the first."""
        minute = floor(moment)
        since = self._counted_to - COUNTED_AGAIN if self._counted_to else minute - COUNTED_AGAIN
        if self.counted_from is None or since < minute - DAY:
            self.counted_from, self._minutes = max(since, minute - DAY), Minutes()
            since = self.counted_from
        found = await traffic.read(ledger, since, minute + MINUTE)
        self._keep(lambda at: at < since)  # what is counted again
        self._add(found)
        self._counted_to = minute
        await self._look_back(ledger, minute - DAY)
        self._keep(lambda at: at >= minute - DAY)

    async def _look_back(self, ledger: Ledger, until: datetime) -> None:
        left = SECONDS_A_LOOK
        while self.counted_from is not None and self.counted_from > until and left > 0:
            since = max(until, self.counted_from - self._span)
            began = clock.monotonic()
            found = await traffic.read(ledger, since, self.counted_from)
            took = clock.monotonic() - began
            self._add(found)
            self.counted_from, left = since, left - took
            if took < QUICK:
                self._span *= 2
            elif took > SLOW:
                self._span = max(MINUTE, floor_span(self._span / 2))

    def _add(self, found: Minutes) -> None:
        self._minutes.counts |= found.counts
        self._minutes.seconds |= found.seconds

    def _keep(self, wanted: Callable[[datetime], bool]) -> None:
        """Forget all other minutes."""
        kept = self._minutes
        kept.counts = {key: count for key, count in kept.counts.items() if wanted(key[0])}
        kept.seconds = {key: some for key, some in kept.seconds.items() if wanted(key[0])}

    def since(self, begin: datetime) -> dict[str, Flow]:
        """The traffic of each type from `begin` on."""
        counts: Counter[tuple[str, str]] = Counter()
        for (minute, type, what), count in self._minutes.counts.items():
            if minute >= begin:
                counts[type, what] += count
        return {
            type: Flow(
                accepted=counts[type, ACCEPTED],
                sent=counts[type, State.SENT],
                failed=counts[type, State.FAILED],
                expired=counts[type, State.EXPIRED],
                p50=percentile(times := self._times(type, begin), 0.5),
                p95=percentile(times, 0.95),
            )
            for type in sorted({type for type, _ in counts})
        }

    def _times(self, type: str, begin: datetime) -> list[tuple[float, float]]:
        """The sampled seconds, each with the number of notifications that it stands for."""
        kept = self._minutes
        return [
            (one, kept.counts.get((minute, of, State.SENT), len(some)) / len(some))
            for (minute, of), some in kept.seconds.items()
            if of == type and minute >= begin
            for one in some
        ]


def percentile(weighted: Iterable[tuple[float, float]], share: float) -> float | None:
    """The value below which `share` of the weight is. weighted: values, each with its weight."""
    ordered = sorted(weighted)
    left = share * sum(weight for _, weight in ordered)
    for value, weight in ordered:
        left -= weight
        if left <= 1e-9:
            return value
    return None


def floor(moment: datetime) -> datetime:
    """The begin of the minute of `moment`."""
    return moment.replace(second=0, microsecond=0)


def floor_span(span: timedelta) -> timedelta:
    """A whole number of minutes."""
    return span // MINUTE * MINUTE
