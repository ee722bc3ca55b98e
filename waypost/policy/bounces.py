"""Which refusals say that an address is dead, so that nothing is sent there any more."""

from __future__ import annotations

from waypost.model.outcome import Outcome, Phase, Verdict

# RFC 3463, section 3.2: bad destination mailbox address; mailbox has moved, no forwarding address. RFC 7505,
# section 5: the domain takes no mail. Replies about policy (5.7), content (5.6), size (5.2.3, 5.3.4), a full
# mailbox (5.2.2) or a mailbox that is switched off for a while (5.2.1) are none of these.
_DEAD = frozenset({"5.1.1", "5.1.6", "5.1.10"})


def no_such_mailbox(outcome: Outcome) -> bool:
    """Whether a mail server said, by its enhanced code, that the recipient's mailbox does not exist. A reply
    without such a code may mean anything."""
    return (
        outcome.verdict is Verdict.REFUSED
        and outcome.phase in (Phase.RCPT, Phase.DATA, Phase.DOT)
        and outcome.enhanced in _DEAD
        and not outcome.about_us
    )
