"""The state of one attempt: its phase, its outcome, and how it is ended early."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from waypost.channels.send_gate import LAST_WORD_SECONDS
from waypost.channels.smtp.connection import SmtpConnection
from waypost.channels.smtp.dialogue import Dialogue
from waypost.model.outcome import Outcome, Phase
from waypost.policy import classify


@dataclass(slots=True)
class Attempt:
    """limit: the time limit of the attempt. outcome: set as soon as the server's reply settles it. owed: the
    connection and dialogue of a message that the server has in full and had not answered by the limit."""

    limit: asyncio.Timeout | None = None
    outcome: Outcome | None = None
    stopped: bool = False
    owed: tuple[SmtpConnection, Dialogue] | None = None
    _wire: SmtpConnection | None = None
    _dialogue: Dialogue | None = None

    def begin(self, wire: SmtpConnection | None, dialogue: Dialogue | None = None) -> None:
        """Use `wire` from now on; None until another connection is open."""
        self._wire, self._dialogue, self.outcome = wire, dialogue, None

    @property
    def phase(self) -> Phase:
        return self._dialogue.phase if self._dialogue else Phase.CONNECT

    @property
    def broke_off(self) -> bool:
        """Whether the attempt ended before the envelope was answered, and was not stopped by us."""
        in_envelope = self._dialogue is not None and self._dialogue.in_envelope
        return in_envelope and self.outcome is None and not self.stopped

    def cut_off(self, words: str) -> Outcome:
        """The outcome of an attempt that was cut off: the server's reply if it had come, else lost."""
        if answer := self.outcome or (self._dialogue and self._dialogue.late):
            return answer
        if self.stopped:
            words = "stopped while it waited for the reply" if self.phase is Phase.DOT else "stopped"
        return classify.lost(self.phase, words)

    def leave_owed(self, wire: SmtpConnection, dialogue: Dialogue) -> bool:
        """Whether the server owes a reply to wait for: it has the message, and the limit ended the attempt.
        Sets `owed` if so."""
        answered = self.outcome or dialogue.late
        expired = self.limit is not None and self.limit.expired()
        if self.stopped or answered or not expired or dialogue.phase is not Phase.DOT or not wire.open:
            return False
        self.owed = wire, dialogue
        return True

    def stop(self) -> None:
        """Before the final dot: end the attempt now, and make sure that the dot is never sent. After it:
        wait a little for the reply."""
        limit = self.limit
        if limit is None or limit.expired():
            return
        self.stopped = True
        soonest = asyncio.get_running_loop().time()
        if self.phase is Phase.DOT:
            soonest += LAST_WORD_SECONDS
        elif self._wire is not None:
            self._wire.abort()
        limit.reschedule(min(soonest, limit.when() or soonest))
