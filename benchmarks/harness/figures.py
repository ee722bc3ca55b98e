"""The results of a benchmark's part: figures, and the bars that they must meet."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MEETS = {">=": operator.ge, "<": operator.lt, "==": operator.eq}


class NotMeasured(RuntimeError):
    """A part could not be measured. Says what was missing."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and the value it must meet. A figure of nan meets no bar."""

    name: str
    value: float
    comparison: str
    asked: float

    @property
    def met(self) -> bool:
        return MEETS[self.comparison](self.value, self.asked)

    def __str__(self) -> str:
        verdict = "ok" if self.met else "short"
        return f"bar: {self.name} {round(self.value, 3):g} (asked {self.comparison} {self.asked:g}) {verdict}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A part's bars, with every figure behind them for `--json`."""

    bars: list[Bar]
    figures: dict[str, Any] = field(default_factory=dict)


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of rounds that were next to each other."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Spread:
    """The spread of a series of seconds."""

    count: int
    p50: float
    p90: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        ordered = sorted(seconds)
        nearest_rank = ordered[max(0, -(-len(ordered) * 9 // 10) - 1)]
        return cls(len(ordered), statistics.median(ordered), nearest_rank, ordered[-1])

    def __str__(self) -> str:
        return f"p50 {self.p50:7.3f} s   p90 {self.p90:7.3f} s   max {self.max:7.3f} s   (n={self.count})"
