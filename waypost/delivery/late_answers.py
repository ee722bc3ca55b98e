"""Late answers: responses that arrive after their attempt was recorded as UNKNOWN, and settle the doubt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from waypost.ledger import NotRecorded
from waypost.ledger.queue.attempts import AttemptFinished
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Verdict

logger = logging.getLogger("waypost.channels")


class LateAnswers:
    """The late answers that this process waits for. When the process ends, waiting ends: a notification in
    doubt is then sent once more, or handled as its type says."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()

    def expect(
        self,
        answer: asyncio.Future[Outcome | None],
        conclude: Callable[[Outcome], AttemptFinished],
        provider: str,
    ) -> None:
        """Record the result of `conclude` if a definite `answer` comes."""
        task = asyncio.create_task(self._settle(answer, conclude, provider))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(
        self,
        answer: asyncio.Future[Outcome | None],
        conclude: Callable[[Outcome], AttemptFinished],
        provider: str,
    ) -> None:
        await asyncio.wait((answer,))
        outcome = None if answer.cancelled() or answer.exception() else answer.result()
        if outcome is None or outcome.verdict is Verdict.UNKNOWN:
            return
        try:
            await self._recorder.finish(conclude(outcome))
        except NotRecorded:
            logger.warning("%s responded late, but the ledger could not record it: the doubt stays", provider)

    def close(self) -> None:
        """Stop waiting."""
        for task in list(self._tasks):
            task.cancel()
