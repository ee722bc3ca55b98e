"""A ledger in which all happened that has to do with people."""

from __future__ import annotations

from support.ledger import NOTE, ask, taken
from support.minted_codes import CODED, asked, attempted
from waypost import Category, Recipient
from waypost.ledger import Ledger
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.records import recipients, soft_bounces
from waypost.model.cadence import Cadence, Every
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.permission import Preference
from waypost.model.profile import Profile
from waypost.model.states import State
from waypost.model.suppression import Suppression
from waypost.policy.retry import Decision
from waypost.system.ids import new_id

ADA = Recipient(email="Ada.Lovelace@poetical.example", name="Augusta King")
BOB = Recipient(id="bob", email="bob@builder.example", phone="+49 170 5551234", name="Robert B")
HOME = "bob@summerhouse.example"
PLAN = Profile(id="bob", attributes={"plan": "the golden plan"}, addresses=[{"address": HOME}])
FACT = "the parcel is at the neighbour"
REPLY = "queued for Augusta King in the spool"
NEVER = {Category.TRANSACTIONAL: Preference(Cadence(Every.NEVER))}


async def lived(ledger: Ledger) -> None:
    """Let all that happen: notifications of several kinds, attempts, suppressions, choices and codes."""
    await accept(ledger, NOTE, [ask(FACT, recipient=person) for person in (ADA, BOB)])
    await accept(ledger, NOTE, [ask(FACT, recipient=BOB, digest=True)])
    await accept_all(ledger, [Candidate(NOTE, ask(FACT, recipient=BOB), client="shop")])
    await recipients.patch(ledger, PLAN, ["attributes", "addresses"])
    batch, found = await taken(ledger)
    recorder = Recorder(ledger)
    for one in found:
        started = AttemptStarted(one.id, batch, "email", "smtp", None)
        assert await recorder.begin(started)
        outcome = Outcome(Verdict.ACCEPTED, Phase.DOT, words=REPLY)
        stop = Suppression(address=one.recipient.email, evidence=f"550 no mailbox {one.recipient.email}")
        sent = Decision(State.SENT)
        end = AttemptFinished(one.id, batch, sent, attempt=started.id, outcome=outcome, suppress=stop)
        await recorder.finish(end)
    await recorder.close()
    await ledger.write(lambda connection: soft_bounces.note(connection, [(BOB.email, new_id())] * 3))
    await choose(ledger, Choosing("", ADA.key, NEVER, "one click", address=ADA.email), {})
    await asked(ledger, BOB, CODED)
    await attempted(ledger)
