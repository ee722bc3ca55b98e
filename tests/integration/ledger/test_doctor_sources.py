"""`waypost doctor` reads the first rows of each source, on both databases, and says what is wrong with it."""

from __future__ import annotations

import time

import pytest
from support.ledger import accepted, rows

from waypost.config.settings import Settings
from waypost.deployments.doctor import sources
from waypost.deployments.doctor.sources import source_findings

pytestmark = pytest.mark.anyio
HEAD = "email,membership,expires_on\n"
FACTS = "'Friends' AS membership, '2026-03-31' AS expires_on"
ADVICE = "correct the source, then look at all its rows with `waypost remind membership-expiry --preview`"


@pytest.fixture
def found(tmp_path, database):
    """What doctor finds in the source of a type."""

    async def look(type="membership-expiry", **source):
        if "query" in source:
            source["url"] = database
        return await source_findings(Settings(project=tmp_path, home=tmp_path, sources={type: source}))

    return look


async def test_without_a_source_nothing_is_told(tmp_path):
    assert await source_findings(Settings(home=tmp_path)) == []


async def test_a_query_that_works_is_good_and_nothing_is_accepted(ledger, found):
    await accepted(ledger, 2)
    query = f"SELECT recipient_key || '@a.example' AS id, {FACTS} FROM notifications"
    [one] = await found(query=query)
    assert (one.ok, one.found) == (True, "membership-expiry: read, 2 rows looked at")
    [one] = await found(query=f"{query} WHERE 1 = 0")
    assert (one.ok, one.found) == (True, "membership-expiry: read, no rows today")
    assert len(await rows(ledger)) == 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT id FROM no_such_table", "the source failed: the database refused the query ("),
        ("DELETE FROM notifications", "the source failed: the query tries to write"),
        ("SELECT 'ada' AS name", "the source failed: the query has no column email, phone or id"),
        (
            "SELECT 'ada' AS id, 'x' AS membership WHERE 1 = 0",
            "the source failed: the query has no column expires_on; the type needs it",
        ),
        (
            "SELECT 'ada' AS id, 'x' AS membership, 'soon' AS expires_on",
            "1 of 1 row looked at cannot be used: row 1: data.expires_on: ",
        ),
    ],
)
async def test_a_query_that_fails_or_lacks_columns_is_told_with_what_to_do(ledger, found, query, said):
    await accepted(ledger)
    [one] = await found(query=query)
    assert (one.ok, one.what, one.advice) == (False, "sources", ADVICE)
    assert one.found.startswith(f"membership-expiry: {said}")
    assert len(await rows(ledger)) == 1


async def test_a_query_without_an_end_is_ended(ledger, found, database, monkeypatch):
    monkeypatch.setattr(sources, "WITHIN", 0.5)
    endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) AS id FROM s"
    query = endless if database.startswith("sqlite") else "SELECT pg_sleep(60) AS id"
    began = time.monotonic()
    [one] = await found(query=query)
    assert "sent no rows for" in one.found
    assert time.monotonic() - began < 10


async def test_a_database_that_does_not_respond_is_told(tmp_path):
    source = {"url": "postgresql://reader:hunter2@127.0.0.1:9/shop", "query": "SELECT 1 AS id"}
    [one] = await source_findings(Settings(home=tmp_path, sources={"membership-expiry": source}))
    assert one.found.startswith("membership-expiry: the source failed: the database does not respond")
    assert "hunter2" not in f"{one}"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "the source failed: the file {file} does not exist"),
        ("", "the source failed: members.csv is empty"),
        ("email,membership\n", "the source failed: members.csv has no column expires_on; the type needs it"),
        (
            HEAD + "ada@a.example,Friends,2026-03-31\ncyd@,Friends,2026-03-31\n",
            "1 of 2 rows looked at cannot be used: members.csv, line 3: recipient.email: ",
        ),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_file_is_read_too(found, tmp_path, lines, said):
    file = tmp_path / "members.csv"
    if lines is not None:
        file.write_text(lines)
    [one] = await found(file="members.csv")
    assert one.found.startswith(f"membership-expiry: {said.format(file=file)}")
    assert (one.ok, one.advice) == (False, ADVICE)


@pytest.mark.parametrize(
    ("type", "why"), [("nope", "there is no such type"), ("welcome", "its type does not ask a source")]
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_source_of_no_type_is_told(found, type, why):
    [one] = await found(type=type, file="members.csv")
    assert (one.ok, one.found) == (False, f"{type}: {why}")
