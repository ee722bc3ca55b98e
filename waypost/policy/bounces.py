"""Which refusals say that an address is dead, and which that it takes no mail for now. Pure functions."""

from __future__ import annotations

from datetime import timedelta

from waypost.model.outcome import Outcome, Phase, Verdict

# RFC 3463, section 3.2: bad destination mailbox address; mailbox has moved, no forwarding address. RFC 7505,
# section 5: the domain takes no mail. Replies about policy (5.7), content (5.6), size (5.2.3, 5.3.4), a full
# mailbox (5.2.2) or a mailbox that is switched off for a while (5.2.1) are none of these.
_DEAD = frozenset({"5.1.1", "5.1.6", "5.1.10"})

_AT_THE_RECIPIENT = (Phase.RCPT, Phase.DATA, Phase.DOT)

# Notifications to an address that end without being taken: so many within that time suppress it for a while.
FEWEST = 3
WITHIN = timedelta(days=30)
REST = timedelta(days=7)


def no_such_mailbox(outcome: Outcome) -> bool:
    """Whether a mail server said, by its enhanced code, that the recipient's mailbox does not exist. A reply
    without such a code may mean anything."""
    return (
        outcome.verdict is Verdict.REFUSED
        and outcome.phase in _AT_THE_RECIPIENT
        and outcome.enhanced in _DEAD
        and not outcome.about_us
    )


# RFC 3463, sections 3.2 and 3.3: the subjects "address" and "mailbox", and details of them that say nothing
# of the mailbox itself: the sender's address (x.1.7, x.1.8), a full mailbox (x.2.2), a long message (x.2.3).
_ABOUT_THE_MAILBOX = ("1", "2")
_ABOUT_OTHER_THINGS = frozenset({"1.7", "1.8", "2.2", "2.3"})
_CLOSING = 421  # RFC 5321, section 3.8: the server ends the connection, whoever the recipient is


def not_taken(outcome: Outcome) -> bool:
    """Whether a mail server refused or deferred the recipient, and not us, a policy, the size or the content
    of the message. Without an enhanced code only a reply to RCPT is about the recipient."""
    if outcome.verdict not in (Verdict.REFUSED, Verdict.DEFERRED) or outcome.about_us:
        return False
    if outcome.phase not in _AT_THE_RECIPIENT or outcome.code is None or outcome.code == _CLOSING:
        return False
    if outcome.enhanced is None:
        return outcome.phase is Phase.RCPT
    _, subject, detail = outcome.enhanced.split(".")
    return subject in _ABOUT_THE_MAILBOX and f"{subject}.{detail}" not in _ABOUT_OTHER_THINGS
