"""Forgetting a recipient: in steps, and nothing is left."""

import pytest
from support.ledger import NOTE, ask, changed_per_transaction, rows

from waypost import Recipient
from waypost.ledger.database.steps import MOST
from waypost.ledger.database.tables import recipients as table
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records import recipients

pytestmark = pytest.mark.anyio
BY_ID = Recipient(id="ada", email="ada@a.example")
BY_ADDRESS = Recipient(email="ada@a.example")
EITHER = pytest.mark.parametrize(("who", "key"), [(BY_ID, "ada"), (BY_ADDRESS, "mailto:ada@a.example")])


async def told(ledger, count, who=BY_ID, size=3):
    await accept(ledger, NOTE, [ask("x" * size, recipient=who) for _ in range(count)])


async def kept(ledger):
    return repr([await rows(ledger), await rows(ledger, table)])


@EITHER
@pytest.mark.parametrize(("count", "size"), [(1100, 3), (60, 200_000)])
async def test_no_transaction_changes_more_than_a_step(ledger, who, key, count, size):
    await told(ledger, count, who, size)
    with changed_per_transaction(ledger) as changed:
        assert await recipients.forget(ledger, key)
    assert sum(changed) == count
    assert max(changed) <= min(MOST, 50 if size > 3 else MOST)
    assert "ada@a.example" not in await kept(ledger)
    assert not await recipients.forget(ledger, key)


@EITHER
async def test_after_a_kill_between_two_steps_it_is_repeated(ledger, who, key, monkeypatch):
    await told(ledger, 120, who)
    write, left = ledger.write, [1]

    async def killed(work):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return await write(work)

    monkeypatch.setattr(ledger, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        await recipients.forget(ledger, key)
    monkeypatch.undo()
    assert "ada@a.example" in await kept(ledger)
    assert await recipients.forget(ledger, key)
    assert "ada@a.example" not in await kept(ledger)


@EITHER
async def test_what_is_accepted_between_the_steps_is_forgotten_too(ledger, who, key, monkeypatch):
    await told(ledger, 120, who)
    await accept_all(ledger, [Candidate(NOTE, ask(recipient=who), "shop")])
    write, late = ledger.write, [1, 1]

    async def meanwhile(work):
        if late:
            late.pop()
            monkeypatch.setattr(ledger, "write", write)
            await told(ledger, 1, who)
            monkeypatch.setattr(ledger, "write", meanwhile)
        return await write(work)

    monkeypatch.setattr(ledger, "write", meanwhile)
    assert await recipients.forget(ledger, key)
    monkeypatch.undo()
    assert [row.client for row in await rows(ledger) if row.named] == ["shop"]
