"""Exporting a recipient: everything that is kept of it, in pages, and nothing of anybody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import pytest
from support.ledger import NOTE, ask, taken
from support.people import BOB, FACT, REPLY, lived

from waypost import Category, Facts, Recipient, Request, Sensitive
from waypost.ledger.database.steps import MOST_BYTES
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations import recipient_export
from waypost.ledger.records import preferences, recipients, suppressions
from waypost.model.cadence import Cadence, Every
from waypost.model.permission import Preference
from waypost.model.profile import Profile
from waypost.model.suppression import EVERY_CLIENT, Cause, Suppression

pytestmark = pytest.mark.anyio
TYPES = {"note": NOTE}


async def exported(ledger, key, client="", types=TYPES):
    """What is kept beside the notifications, and these."""
    about = await recipient_export.about(ledger, key, client)
    found = recipient_export.each_notification(ledger, key, types, client)
    return about, [one async for one in found]


async def test_all_that_happened_to_a_recipient_is_in_it(ledger):
    await lived(ledger)
    about, found = await exported(ledger, "bob")
    assert {name: about["recipient"][name] for name in ("id", "email", "name")} == {
        "id": "bob", "email": BOB.email, "name": BOB.name,
    }  # fmt: skip
    assert about["recipient"]["attributes"] == {"plan": "the golden plan"}
    [stop] = about["suppressions"]
    assert (stop["address"], stop["cause"]) == (BOB.email, "manual")
    notes = [one for one in found if one["type"] == "note"]
    assert [one["data"]["text"] for one in notes].count(FACT) == 2
    assert (notes[-1]["category"], notes[-1]["recipient"]["phone"]) == ("transactional", BOB.phone)
    assert {"held", "sent"} <= {one["state"] for one in notes}
    tried = [(attempt["said"], attempt["verdict"]) for one in notes for attempt in one["attempts"]]
    assert (REPLY, "accepted") in tried
    assert all(one["accepted_at"] and one["expires_at"] for one in found)


async def test_a_consent_is_exported_with_its_time_and_evidence(ledger):
    chosen = {Category.MARKETING: Preference(Cadence(Every.ONCE), confirmed=True)}
    await preferences.choose(ledger, "shop", "ada", chosen, "api", "box ticked")
    about, found = await exported(ledger, "ada", "shop")
    one = about["preferences"]["marketing"]
    assert (one["evidence"], one["chosen_by"], one["cadence"]) == ("box ticked", "api", "at once")
    assert one["confirmed_at"] is not None
    assert (about["recipient"], found) == (None, [])


async def test_a_client_sees_its_own_and_what_is_for_all(ledger):
    await recipients.put(ledger, Profile(id="ada", email="Ada@a.example"), "shop")
    stops = [
        Suppression(address="ada@a.example", client=client, cause=Cause.MANUAL, evidence=f"asked {client}")
        for client in ("shop", "blog", EVERY_CLIENT, "")
    ]
    await suppressions.add(ledger, stops)
    asked = [Candidate(NOTE, ask(to="ada"), client) for client in ("shop", "blog", "")]
    await accept_all(ledger, asked)
    about, found = await exported(ledger, "ada", "shop")
    told = {(one["for_all_clients"], one["reason"]) for one in about["suppressions"]}
    assert told == {(False, "asked shop"), (True, "")}
    assert [one["id"] for one in found] == [str(asked[0].id)]


async def test_nothing_is_exported_of_somebody_unknown(ledger):
    await accept(ledger, NOTE, [ask(to="ada")])
    assert await recipient_export.about(ledger, "eve") is None
    assert await recipient_export.about(ledger, "ada", "shop") is None


@pytest.mark.parametrize(
    "who", [Recipient(id="ada", email="ada@a.example"), Recipient(email="ada@a.example")]
)
async def test_what_is_left_once_forgotten_tells_nothing_of_the_recipient(ledger, who):
    await accept(ledger, NOTE, [ask("at the neighbour", recipient=who)])
    assert await recipients.forget(ledger, who.key)
    if who.id is None:
        assert await recipient_export.about(ledger, who.key) is None
        return
    about, [one] = await exported(ledger, who.key)
    assert (about["recipient"], one["recipient"], one["data"]) == (None, {}, {})


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
async def test_pages_have_each_notification_once_also_those_in_hand(ledger, limit):
    await accept(ledger, NOTE, [ask(to="ada") for _ in range(4)])
    await taken(ledger)
    await accept(ledger, NOTE, [ask(to="ada") for _ in range(3)])
    found: list[Any] = []
    after = None
    while True:
        some, after = await recipient_export.page(ledger, "ada", TYPES, after=after, limit=limit)
        assert len(some) <= limit
        found += some
        if after is None:
            break
    ids = [one["id"] for one in found]
    assert (len(ids), ids) == (7, sorted(set(ids), reverse=True))
    assert {one["state"] for one in found} == {"accepted", "claimed"}


async def test_a_page_is_bounded_by_bytes(ledger):
    long = "x" * (MOST_BYTES // 4)
    for _ in range(6):
        await accept(ledger, NOTE, [ask(long, to="ada")])
    some, after = await recipient_export.page(ledger, "ada", TYPES)
    assert 1 <= len(some) < 4
    assert after is not None
    assert len((await exported(ledger, "ada"))[1]) == 6


class Card(Facts):
    number: Annotated[str, Sensitive()]
    shop: str


CARD = replace(NOTE, name="card", facts=Card, request=None)


async def test_placeholders_stand_for_sensitive_facts(ledger):
    who = Recipient(id="ada", email="ada@a.example")
    await accept(ledger, CARD, [Request[Card](recipient=who, data=Card(number="4111", shop="Harbour"))])
    _, [one] = await exported(ledger, "ada", types={"card": CARD})
    assert one["data"] == {"number": "[number]", "shop": "Harbour"}


class Newer(Facts):
    number: Annotated[str, Sensitive()]
    colour: str


@pytest.mark.parametrize("types", [{}, {"card": replace(CARD, facts=Newer)}], ids=["gone", "changed"])
async def test_facts_of_a_type_that_does_not_say_what_is_sensitive_are_left_out(ledger, types):
    who = Recipient(id="ada", email="ada@a.example")
    await accept(ledger, CARD, [Request[Card](recipient=who, data=Card(number="4111", shop="Harbour"))])
    _, [one] = await exported(ledger, "ada", types=types)
    assert (one["type"], one["data"]) == ("card", None)


async def test_tags_are_exported(ledger):
    await accept(ledger, NOTE, [ask(to="ada", tags=["spring", "a"])])
    _, [one] = await exported(ledger, "ada")
    assert one["tags"] == ["a", "spring"]
