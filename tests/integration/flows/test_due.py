"""A scheduled run asks its source who is due: once per person and date, whatever the source does."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from prefect import State, flow
from pydantic import SecretStr
from support.ledger import Note, rows

from waypost import Category, NotificationType, Recipient, Report, Request
from waypost.deployments import deploy
from waypost.ledger.database.tables import batches
from waypost.model.source import Source
from waypost.sources import today as of_today
from waypost.system.clock import now
from waypost.tasks import deliver, due, fallback, render, report
from waypost.tasks.run_context import simulated_run

pytestmark = pytest.mark.anyio

TYPE = NotificationType(
    name="note",  # whose templates the tests have
    facts=Note,
    category=Category.TRANSACTIONAL,
    route=("email", "sms"),
    deadline=timedelta(hours=1),
    asks_source=True,
)


@flow(name=TYPE.name)
async def note(requests: list[Request[Note]] = [], batch: UUID | None = None) -> State[Report]:
    notifications = await due(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)


@pytest.fixture
def source(bench, tmp_path):
    """Gives the note a CSV file of these lines."""

    def write(*lines, head="email,text"):
        (tmp_path / "due.csv").write_text("\n".join((head, *lines)))
        use(bench, Source(file=tmp_path / "due.csv"))

    return write


def use(bench, source):
    bench.runtime.settings = bench.runtime.settings.model_copy(update={"sources": {"note": source}})


def people(count, start=0):
    return [f"r{number}@a.example,hello" for number in range(start, start + count)]


async def test_a_second_row_with_other_facts_is_rejected_and_an_equal_row_is_no_fault(bench, source):
    source("ada@a.example,hello", "bob@a.example,hi", "ada@a.example,another text", "bob@a.example,hi")
    state = await state_of_run()
    assert addresses(bench) == ["ada@a.example", "bob@a.example"]
    assert state.name == "PartlyFailed"
    assert "line 4: a second row for this recipient and date, with other facts; " in state.message
    assert "1 notified before" in state.message
    state = await state_of_run()
    assert state.message == f"4 notified before for {now().date()}"


def addresses(bench):
    return [message.address for message in bench.primary.sent]


async def state_of_run(*arguments):
    return await note(*arguments, return_state=True)


async def test_each_person_is_notified_once_per_date(bench, source, monkeypatch):
    source("ada@a.example,hello", "bob@a.example,hi")
    assert str(await note()) == "2 sent"
    assert addresses(bench) == ["ada@a.example", "bob@a.example"]
    source("ada@a.example,another text", "bob@a.example,hi", "cy@a.example,hi")
    state = await state_of_run()
    assert (state.name, state.message) == ("Completed", f"1 sent; 2 notified before for {now().date()}")
    state = await state_of_run()
    assert (state.name, state.message) == ("Completed", f"3 notified before for {now().date()}")
    monkeypatch.setattr(of_today, "now", lambda: now() + timedelta(days=1))
    assert str(await note()) == "3 sent"
    assert len(addresses(bench)) == 6


async def test_a_person_who_is_twice_in_the_source_is_notified_once(bench, source):
    source("ada@a.example,hello", "ADA@a.example,hi")
    state = await state_of_run()
    assert state.message.startswith(
        "1 not accepted, 1 sent; due.csv, line 3: a second row for this recipient"
    )
    assert [message.content.count(b"hello") > 0 for message in bench.primary.sent] == [True]


async def test_a_bad_row_is_named_and_the_rest_is_sent(bench, source, caplog):
    source("ada@a.example,hello", "bob@,hi", "cy@a.example", "dee@a.example,ok")
    with caplog.at_level(logging.WARNING):
        state = await state_of_run()
    assert (state.type.value, state.name) == ("FAILED", "PartlyFailed")
    assert state.message == (
        "2 not accepted, 2 sent; due.csv, line 3: recipient.email: not a valid email address: nothing is "
        "after its @; due.csv, line 4: it has 1 columns; the first line has 2"
    )
    assert "due.csv, line 3: recipient.email" in caplog.text
    assert addresses(bench) == ["ada@a.example", "dee@a.example"]


async def test_without_a_source_a_run_ends_well_and_says_so(bench):
    state = await state_of_run()
    assert (state.type.value, state.message) == (
        "COMPLETED", "no source is set for note: set it in WAYPOST_SOURCES; `waypost docs types` shows how",
    )  # fmt: skip


async def test_a_source_without_anybody_ends_well(bench, source):
    source("ada@a.example,x,2020-01-01", head="email,text,due_on")
    state = await state_of_run()
    assert (state.type.value, state.message) == ("COMPLETED", f"the source names nobody for {now().date()}")


async def test_a_missing_file_fails_the_run_with_its_name(bench, tmp_path):
    use(bench, Source(file=tmp_path / "gone.csv"))
    state = await state_of_run()
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message == f"the source failed: the file {tmp_path}/gone.csv does not exist"


async def test_a_query_that_fails_half_way_keeps_what_was_read(bench, database):
    if database.startswith("sqlite"):
        numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 2000) SELECT n FROM s"
        broken = "json('{')"
    else:
        numbers, broken = "SELECT generate_series(1, 2000) AS n", "CAST(1 / (n - n) AS text)"
    query = (
        f"SELECT 'r' || n || '@a.example' AS email, CASE WHEN n > 1700 THEN {broken} ELSE 'x' END AS text "
        f"FROM ({numbers}) AS numbers"
    )
    use(bench, Source(url=SecretStr(database), query=query))
    state = await state_of_run()
    assert (state.type.value, state.name) == ("FAILED", "PartlyFailed")
    assert state.message.startswith("1000 sent, the source failed after 1,500 rows: the ")
    assert state.message.endswith("; 500 go out with other runs")
    assert len(bench.primary.sent) == 1000
    assert len(await rows(bench.runtime.ledger)) == 1500


async def test_the_last_group_is_sent_by_the_run_and_the_others_by_other_runs(bench, source):
    """Where no dispatcher was quicker, the run takes as many of the others as its batch may have."""
    source(*people(1600))
    state = await state_of_run()
    assert state.message == "1000 sent; 600 go out with other runs"
    assert "r1599@a.example" in addresses(bench)
    assert Counter(row.state for row in await rows(bench.runtime.ledger)) == {"sent": 1000, "accepted": 600}
    assert (await state_of_run()).message == f"1,600 notified before for {now().date()}"


async def test_requests_and_batches_do_not_ask_the_source(bench, source):
    source("ada@a.example,hello")
    asked = Request[Note](recipient=Recipient(email="bob@a.example"), data=Note(text="x"))
    assert str(await note([asked])) == "1 sent"
    assert addresses(bench) == ["bob@a.example"]


async def test_a_run_leaves_no_open_batch(bench, source):
    source(*people(3))
    with simulated_run(UUID(int=7)):
        await note.fn()
    source("bad")
    with simulated_run(UUID(int=8)):
        await note.fn()
    assert all(row.ended_at for row in await rows(bench.runtime.ledger, batches))


async def test_a_schedule_begins_with_a_source(client, undeployed, monkeypatch, tmp_path):
    async def crons():
        found = await client.read_deployment_by_name("membership-expiry/membership-expiry")
        return [(one.schedule.cron, one.active) for one in found.schedules]

    await deploy.deploy(client, undeployed)
    assert await crons() == []
    monkeypatch.setenv("WAYPOST_SOURCES", '{"membership-expiry": {"file": "members.csv"}}')
    await deploy.deploy(client, undeployed)
    assert await crons() == [("0 8 * * *", True)]
    await deploy.deploy(client, undeployed)
    assert await crons() == [("0 8 * * *", True)]
