"""Decides whether a message that is being sent may still be cancelled."""

from __future__ import annotations

import asyncio
from threading import Lock

from waypost.model.outcome import Outcome, Phase
from waypost.policy import classify

LAST_WORD_SECONDS = 3.0  # how long a response is awaited after the sender is stopped


class SendGate:
    """Decides, once, whether a message is handed over or cancelled. A thread may hand it over.

    limit: the time limit of the attempt. phase: its phase before the message is handed over. outcome: set
    as soon as a response settles it.
    """

    def __init__(self) -> None:
        self.limit: asyncio.Timeout | None = None
        self.phase = Phase.CONNECT
        self.outcome: Outcome | None = None
        self._lock = Lock()
        self._begun = self._off = self._stopped = False

    def commit(self) -> bool:
        """Call this just before the message goes out in full. False: it was cancelled and must not go."""
        with self._lock:
            self._begun = not self._off
            return self._begun

    def cancel(self) -> bool:
        """Cancel the message if it was not handed over. Returns whether it is cancelled."""
        with self._lock:
            self._off = not self._begun
            return self._off

    def stop(self) -> None:
        """Before the message is handed over: end the attempt now. After: wait a little for the response."""
        limit = self.limit
        if limit is None or limit.expired():
            return
        self._stopped = True
        soonest = asyncio.get_running_loop().time() + (0 if self.cancel() else LAST_WORD_SECONDS)
        limit.reschedule(min(soonest, limit.when() or soonest))

    def cut_off(self, words: str) -> Outcome:
        """The outcome of an attempt that ended early: the response's if there was one, else lost for the
        reason `words`, or stopped."""
        if self.outcome is not None:
            return self.outcome
        phase = self._reached()
        if self._stopped:
            words = "stopped while it waited for the reply" if phase is Phase.DOT else "stopped"
        return classify.lost(phase, words)

    def broken(self, words: str) -> Outcome:
        """The outcome of an attempt that an error of ours ended: the response's if there was one."""
        return self.outcome or classify.broken(self._reached(), words)

    def _reached(self) -> Phase:
        return self.phase if self.cancel() else Phase.DOT
