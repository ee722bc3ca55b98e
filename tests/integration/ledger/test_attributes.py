"""Attributes in the ledger: changes made at once are merged, and a run gets them with its recipients."""

from __future__ import annotations

import asyncio

import pytest
from support.ledger import NOTE, ask, rows, taken

from waypost import Recipient
from waypost.ledger.database.tables import recipients as table
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records import recipients
from waypost.model.profile import Profile

pytestmark = pytest.mark.anyio


def having(id="ada", **attributes):
    return Profile(id=id, attributes=attributes)


async def patched(ledger, **attributes):
    return await recipients.patch(ledger, having(**attributes), ["attributes"])


async def test_changes_at_once_lose_nothing(ledger):
    await asyncio.gather(*(patched(ledger, **{f"n{number}": number}) for number in range(10)))
    found = await recipients.get(ledger, "ada")
    assert found["attributes"] == {f"n{number}": number for number in range(10)}


async def test_an_import_and_a_change_at_once_lose_nothing(ledger):
    people = [having(f"r{number}", a=1) for number in range(50)]
    changes = (
        recipients.patch(ledger, having(f"r{number}", b=2), ["attributes"]) for number in range(0, 50, 5)
    )
    await asyncio.gather(recipients.add_all(ledger, people), *changes)
    for number in range(50):
        found = await recipients.get(ledger, f"r{number}")
        assert found["attributes"] == ({"a": 1, "b": 2} if number % 5 == 0 else {"a": 1})


async def test_a_run_gets_the_attributes_on_record_whatever_the_request_says(ledger):
    await accept(ledger, NOTE, [ask(recipient=Recipient(id="ada", email="new@a.example", name="A"))])
    await patched(ledger, plan="gold")
    await accept(ledger, NOTE, [ask(to="bob")])
    await accept_all(ledger, [Candidate(NOTE, ask(to="ada"), "shop")])
    _, found = await taken(ledger)
    assert [dict(one.recipient.attributes) for one in found] == [{"plan": "gold"}, {}, {}]


async def test_a_request_leaves_attributes_alone(ledger):
    await patched(ledger, plan="gold")
    await accept(ledger, NOTE, [ask(to="ada")])
    found = await recipients.get(ledger, "ada")
    assert (found["email"], found["attributes"]) == ("ada@a.example", {"plan": "gold"})


async def test_too_many_together_change_nothing(ledger):
    await patched(ledger, **{f"n{number}": number for number in range(50)})
    with pytest.raises(ValueError, match="more than 50 names"):
        await recipients.patch(
            ledger, Profile(id="ada", name="A", attributes={"b": 1}), ["attributes", "name"]
        )
    [row] = await rows(ledger, table)
    assert (row.name, len(row.attributes)) == (None, 50)
    assert (await patched(ledger, n1=None, b=1)).fields["attributes"]["b"] == 1
