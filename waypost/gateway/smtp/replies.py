"""SMTP replies: codes of RFC 5321, with the enhanced codes of RFC 3463."""

from __future__ import annotations

from waypost.gateway.problems import Problem

OK = "250 2.0.0 ok"
AWAY = "451 4.3.0 API keys cannot be checked at present; try again later"
MALFORMED = "554 5.6.0"

_OF_A_PROBLEM = {
    "unauthenticated": "535 5.7.8",
    "forbidden": "550 5.7.1",
    "too-large": "552 5.3.4",
    "too-many-requests": "451 4.7.1",
    "unavailable": "451 4.3.0",
    "internal": "554 5.3.0",
}


def of(problem: Problem) -> str:
    """The SMTP reply for `problem`; it names the field that is wrong."""
    if problem.kind.code == "idempotency-conflict":  # in SMTP the key is the Message-ID
        return f"{MALFORMED} Message-ID: already used for another mail to the same recipient"
    return f"{_OF_A_PROBLEM.get(problem.kind.code, MALFORMED)} {problem.detail}"


class ClosingReply(Exception):
    """The last reply of a session."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply
