"""A rate limit per caller."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """Holds at most one second's worth of requests and refills evenly. Moments are of a monotonic clock."""

    per_second: int
    _left: float = field(default=0.0, init=False)
    _at: float = field(default=-math.inf, init=False)

    def take(self, moment: float) -> float:
        """0 when a request may be made now, else the seconds until then."""
        self._left = min(self.per_second, self._left + (moment - self._at) * self.per_second)
        self._at = moment
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self.per_second
