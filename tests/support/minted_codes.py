"""Makes and sends codes as a worker does: minted when a run has the notification, then attempted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.ledger import NOTE, ask, taken
from waypost import NotificationType, Recipient
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.ledger import Ledger
from waypost.ledger.intake.accept import accept
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.notification import Notification
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.verification.codes import mint
from waypost.verification.minting import minted

ADA = Recipient(id="ada", email="ada@a.example")
CODED = NotificationType(
    name="note", facts=NOTE.facts, category=NOTE.category, route=("email",), deadline=NOTE.deadline, mint=mint
)
BECOMES = {
    Verdict.ACCEPTED: State.SENT,
    Verdict.REFUSED: State.FAILED,
    Verdict.DEFERRED: State.DEFERRED,
    Verdict.UNKNOWN: State.DEFERRED,
}
Minted = Mapping[str, Any]


def key_of(ledger: Ledger) -> bytes:
    """The secret key from which the codes of these tests are made."""
    return Runtime(Settings(), ledger, []).secret_key


async def asked(ledger: Ledger, recipient: Recipient = ADA, type: Any = CODED) -> None:
    """Request a code, which then waits."""
    await accept(ledger, type, [ask(recipient=recipient)])


async def attempted(
    ledger: Ledger, *verdicts: Verdict | None, kinds: tuple[str, ...] = ("email",), type: Any = CODED
) -> Minted:
    """Send the waiting code over `kinds`, one after the other, each with its verdict; None: no response yet.
    Returns the minted facts of its messages."""
    batch, [one] = await taken(ledger)
    one.data["verify_url"] = "https://app.example/verify?from=mail"
    made = await minted(Runtime(Settings(), ledger, []), type, [one])
    for kind, verdict in zip(kinds, verdicts or (Verdict.ACCEPTED,), strict=True):
        await _attempt(ledger, batch, one, kind, verdict, last=kind == kinds[-1])
    found = made[one.id]
    assert isinstance(found, Mapping), found
    return found


async def _attempt(
    ledger: Ledger, batch: Any, one: Notification, kind: str, verdict: Verdict | None, last: bool
) -> None:
    recorder = Recorder(ledger)
    begin = AttemptStarted(one.id, batch, kind, "primary", None)
    await recorder.begin(begin)
    if verdict is not None:
        decision = Decision(BECOMES[verdict] if last else State.SENDING, due=now())
        outcome = Outcome(verdict, Phase.DOT)
        await recorder.finish(AttemptFinished(one.id, batch, decision, 0, begin.id, outcome))


async def sent(ledger: Ledger, recipient: Recipient = ADA) -> Minted:
    """Request a code, and send it."""
    await asked(ledger, recipient)
    return await attempted(ledger)


def another(code: str, *more: str) -> str:
    """A code that differs from all of these."""
    return next(other for n in range(9) if (other := f"{(int(code) + n) % 10**6:06}") not in (code, *more))
