"""A short id finds its notification by the primary key, on each database."""

import re
from contextlib import suppress
from uuid import UUID

import pytest
from support.ledger import accepted
from support.plans import plans_of, statements_of

from waypost.ledger.operations.short_ids import (
    CANDIDATES,
    AmbiguousId,
    NoSuchId,
    notification_id,
    parse,
    short,
    webhook_id,
)
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio


async def ids(ledger, count=3):
    return [receipt.id for receipt in await accepted(ledger, count)]


def forms(id):
    """The ways in which a person may give an id."""
    text = str(id)
    return [text, id.hex, text.upper(), short(id), f"{text[:8]}..{text[-6:]}", f"{text[:13]}..{text[-12:]}"]


async def test_an_id_is_found_however_it_is_given(ledger):
    for id in await ids(ledger):
        for given in forms(id):
            assert await notification_id(ledger, parse(given)) == id


async def test_a_whole_id_with_another_end_is_refused(ledger):
    [id] = await ids(ledger, 1)
    assert await notification_id(ledger, parse(f"{id}..{id.hex[-6:]}")) == id
    with pytest.raises(ValueError, match="the id does not end in abc"):
        parse(f"{UUID(int=1)}..abc")


async def test_a_beginning_is_enough_where_only_one_id_has_it(ledger):
    [id] = await ids(ledger, 1)
    assert await notification_id(ledger, parse(id.hex[:4])) == id
    with pytest.raises(NoSuchId, match="no notification has an id like 0123"):
        await notification_id(ledger, parse("0123"))
    with pytest.raises(NoSuchId, match="no webhook has an id like"):
        await webhook_id(ledger, parse(short(id)))


async def test_an_id_that_is_not_unique_is_told_with_the_first_that_it_may_be(ledger):
    made = sorted(await ids(ledger, CANDIDATES + 1))
    with pytest.raises(AmbiguousId) as told:
        await notification_id(ledger, parse(made[0].hex[:8]))
    assert [UUID(id) for id in re.findall(r"[0-9a-f-]{36}", str(told.value))] == made[:CANDIDATES]
    assert str(told.value).endswith(", and more")


async def test_a_whole_id_is_not_looked_up(ledger):
    id = new_id()
    assert await notification_id(ledger, parse(str(id))) == id


@pytest.mark.parametrize("digits", ["full", "beginning", "short"])
async def test_a_lookup_goes_by_the_primary_key(ledger, digits):
    [id, *_] = await ids(ledger)
    given = {"full": str(id), "beginning": id.hex[:20], "short": short(id)}[digits]
    seen = statements_of(ledger)
    with suppress(AmbiguousId):
        await notification_id(ledger, parse(given))
    found = await plans_of(ledger, [one for one in seen if one[0].startswith("SELECT")])
    assert len(found) == (digits != "full")
    for _, plan in found:
        # PostgreSQL: a condition on the index, not a walk along all of it.
        assert re.search(r"Index Cond|SEARCH notifications USING", plan), plan


@pytest.mark.parametrize("count", [2000])
def test_short_ids_of_one_moment_differ_but_for_a_few(count):
    """Their ends have 24 random bits: of 2,000 ids, two share an end in an eighth of all runs; four pairs do
    in a run of 200,000. Whoever gives an end that two share is told both ids."""
    made = [new_id() for _ in range(count)]
    assert len({short(id) for id in made}) > count - 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "not an id"),
        ("019", "first 4 digits or more"),
        ("xyz", "not an id: give the id as `waypost list` shows it, or its first 4 digits or more"),
        ("019b76d..3c4d5e", "8 digits or more before"),
        ("019b76daa8..", "not an id"),
        ("019b76daa8..3c4d5e3c4d5e3", "not an id"),
        ("019b76da-a800-7000-8000-0000000000001", "not an id"),
        ("019b%", "not an id"),
    ],
)
def test_what_cannot_be_an_id_is_told(given, said):
    with pytest.raises(ValueError, match=said):
        parse(given)


def test_a_damaged_id_is_shown_as_it_stands():
    assert short("broken") == "broken"
