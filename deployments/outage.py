"""Whether the Prefect API answers, as everybody in a worker who asks it has seen."""

from __future__ import annotations

import time
from collections.abc import Callable


class Outage:
    """Since when Prefect has not answered. One answer ends it."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._since: float | None = None

    def failed(self) -> bool:
        """Somebody got no answer. True when this is news."""
        if self._since is not None:
            return False
        self._since = self._steady()
        return True

    def answered(self) -> bool:
        """Somebody got an answer. True when there was an outage."""
        was, self._since = self._since is not None, None
        return was

    @property
    def on(self) -> bool:
        """Whether there is one."""
        return self._since is not None

    @property
    def lasts(self) -> float:
        """For how many seconds; 0 when there is none."""
        return 0.0 if self._since is None else self._steady() - self._since
