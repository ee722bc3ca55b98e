"""Grouping swallows repeats and no news."""

import asyncio
from datetime import timedelta

import pytest
from support.ledger import LONG_AGO, change, rows

from waypost import Category, Facts, Grouping, NotificationType, Recipient, Request
from waypost.ledger.database.tables import groups
from waypost.ledger.intake.accept import accept

pytestmark = pytest.mark.anyio


class Reading(Facts):
    status: str
    level: int


TYPE = NotificationType(
    name="reading",
    facts=Reading,
    category=Category.ALERT,
    route=("email",),
    deadline=timedelta(hours=1),
    grouping=Grouping(
        key=lambda _: "pump-4",
        window=timedelta(minutes=5),
        status=lambda reading: reading.status,
        level=lambda reading: reading.level,
    ),
)
ADA = Recipient(id="ada", email="ada@a.example")


def reading(said):
    status, level = said.split()
    return Request[Reading](recipient=ADA, data=Reading(status=status, level=int(level)))


STORIES = [
    (["firing 1", "firing 1"], ["accepted", "grouped"]),
    (["firing 1", "resolved 1", "firing 1"], ["accepted", "accepted", "accepted"]),
    (["firing 1", "firing 2", "firing 2"], ["accepted", "accepted", "grouped"]),
    (["firing 2", "firing 1", "firing 2"], ["accepted", "grouped", "grouped"]),
    (["firing 1", "firing 2", "firing 1", "firing 3"], ["accepted", "accepted", "grouped", "accepted"]),
    (["firing 2", "resolved 0", "resolved 0", "firing 1"], ["accepted", "accepted", "grouped", "accepted"]),
]


@pytest.mark.parametrize(("story", "answers"), STORIES, ids=lambda value: ", ".join(value))
@pytest.mark.parametrize("at_once", [True, False], ids=["in one call", "one by one"])
async def test_a_change_of_status_or_a_higher_level_is_sent_and_the_rest_is_counted(
    ledger, story, answers, at_once
):
    asked = [reading(said) for said in story]
    if at_once:
        receipts = await accept(ledger, TYPE, asked)
    else:
        receipts = [receipt for one in asked for receipt in await accept(ledger, TYPE, [one])]
    assert [receipt.outcome for receipt in receipts] == answers
    assert sum(row.occurrences for row in await rows(ledger)) == len(story)


async def test_a_repeat_counts_in_the_last_notification_that_was_news(ledger):
    [_, worse, repeat] = await accept(
        ledger, TYPE, [reading("firing 1"), reading("firing 2"), reading("firing 1")]
    )
    assert repeat.id == worse.id
    assert {row.id: row.occurrences for row in await rows(ledger)}[worse.id] == 2


async def test_of_the_same_news_at_the_same_moment_one_is_sent(ledger):
    await accept(ledger, TYPE, [reading("firing 1")])
    await asyncio.gather(*(accept(ledger, TYPE, [reading("resolved 1")]) for _ in range(20)))
    assert sorted(row.occurrences for row in await rows(ledger)) == [1, 20]


async def test_a_group_from_before_an_upgrade_swallows_nothing(ledger):
    await accept(ledger, TYPE, [reading("firing 1")])
    await change(ledger, groups, status="", level=0)
    [after] = await accept(ledger, TYPE, [reading("firing 1")])
    assert after.outcome == "accepted"


async def test_the_window_begins_anew_with_news(ledger):
    await accept(ledger, TYPE, [reading("firing 1")])
    await change(ledger, groups, opened_at=LONG_AGO)
    await accept(ledger, TYPE, [reading("firing 2")])
    [repeat] = await accept(ledger, TYPE, [reading("firing 2")])
    assert repeat.outcome == "grouped"


async def test_the_same_of_two_brands_is_two_groups(ledger):
    asked = [
        reading("firing 1").model_copy(update={"brand": brand}) for brand in (None, "acme", None, "acme")
    ]
    receipts = await accept(ledger, TYPE, asked)
    assert [one.outcome for one in receipts] == ["accepted", "accepted", "grouped", "grouped"]
    assert sorted((row.brand or "", row.occurrences) for row in await rows(ledger)) == [("", 2), ("acme", 2)]
