"""One message on its way to whoever takes it: whether it may still be called off."""

from __future__ import annotations

import asyncio
from threading import Lock

from waypost.model.outcome import Outcome, Phase
from waypost.policy import classify

LAST_WORD_SECONDS = 3.0  # how long an answer is waited for once the sender is to stop


class SendGate:
    """Settles, once, whether the message is handed over or called off; the one that hands it over may be a
    thread.

    limit: the deadline around the attempt. phase: how far it is before it is handed over. outcome: set as
    soon as an answer settles it.
    """

    def __init__(self) -> None:
        self.limit: asyncio.Timeout | None = None
        self.phase = Phase.CONNECT
        self.outcome: Outcome | None = None
        self._lock = Lock()
        self._begun = self._off = self._stopped = False

    def commit(self) -> bool:
        """Ask for leave, just before the message goes out whole. False: it was called off."""
        with self._lock:
            self._begun = not self._off
            return self._begun

    def cancel(self) -> bool:
        """Whether it was not handed over, and now never will be."""
        with self._lock:
            self._off = not self._begun
            return self._off

    def stop(self) -> None:
        """Before it is handed over: end the attempt now. After: wait a little for the answer."""
        limit = self.limit
        if limit is None or limit.expired():
            return
        self._stopped = True
        soonest = asyncio.get_running_loop().time() + (0 if self.cancel() else LAST_WORD_SECONDS)
        limit.reschedule(min(soonest, limit.when() or soonest))

    def cut_off(self, words: str) -> Outcome:
        """The outcome of an attempt that ended early: the answer where there was one, else for the reason
        `words`, or as stopped."""
        if self.outcome is not None:
            return self.outcome
        phase = self._reached()
        if self._stopped:
            words = "stopped while it waited for the answer" if phase is Phase.DOT else "stopped"
        return classify.lost(phase, words)

    def broken(self, words: str) -> Outcome:
        """The outcome of an attempt that a mistake of ours ended: the answer where there was one."""
        return self.outcome or classify.broken(self._reached(), words)

    def _reached(self) -> Phase:
        return self.phase if self.cancel() else Phase.DOT
