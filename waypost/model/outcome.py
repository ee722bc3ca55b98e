"""What a provider answered for one message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What the answer means."""

    ACCEPTED = "accepted"  # the next hop took responsibility
    REFUSED = "refused"  # a definite no: trying this provider again would not help
    DEFERRED = "deferred"  # nothing was taken; the same provider may take it later
    UNKNOWN = "unknown"  # the connection was lost after the message, before the answer


class Phase(StrEnum):
    """How far the dialogue came (RFC 5321, section 4.1.1)."""

    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"  # the message was on the wire


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with the provider's own words.

    code: the SMTP reply or HTTP status; enhanced: RFC 3463, for example "5.1.1".
    wait: how long the provider asked us to wait, if it did. With UNKNOWN: how long an answer may still come.
    about_us: our property that it refused (a login, a sender, ...), if it would refuse any message for that.
    """

    verdict: Verdict
    phase: Phase
    code: int | None = None
    enhanced: str | None = None
    words: str = ""
    wait: timedelta | None = None
    about_us: str = ""

    def __str__(self) -> str:
        if self.verdict is Verdict.REFUSED and self.code is None and self.words:
            return self.words  # Waypost's own: a provider refuses with a code
        said = self.said
        return f"{self.verdict}: {said}" if said else str(self.verdict)

    @property
    def said(self) -> str:
        """The provider's own code and words; empty without any."""
        words = "" if self.words == self.verdict else self.words
        return " ".join([str(part) for part in (self.code, self.enhanced, words) if part])
