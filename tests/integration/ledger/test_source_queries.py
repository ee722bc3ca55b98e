"""Queries of who is due, on both databases: they only read, they stream, and their faults are named."""

from __future__ import annotations

import tracemalloc
from contextlib import aclosing
from datetime import date
from pathlib import Path

import pytest
from support.ledger import accepted, rows, run_sql

from waypost.sources import database as queries
from waypost.sources.database import rows_of
from waypost.sources.rows import SourceFailed

pytestmark = pytest.mark.anyio
DAY = date(2026, 3, 2)
SERIES = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT {}) "
    "SELECT n FROM s) AS s",
    "postgresql": "(SELECT generate_series(1, {}) AS n) AS s",
}


def series(database, count):
    """A table of the numbers up to `count`."""
    return SERIES[database.partition(":")[0]].format(count)


async def read(database, query):
    async with aclosing(rows_of(database, query, DAY, Path("/"))) as parts:
        return [row async for part in parts for row in part]


async def fault(database, query):
    with pytest.raises(SourceFailed) as failed:
        await read(database, query)
    return str(failed.value)


async def test_the_date_is_a_parameter(ledger, database):
    query = (
        "SELECT 'ada@a.example' AS email, CAST(:date AS text) AS due_on, 1.50 AS \"Balance\", NULL AS name;"
    )
    [row] = await read(database, query)
    assert row.place == "row 1"
    assert {name: value and str(value) for name, value in row.values.items()} in (
        {"email": "ada@a.example", "due_on": "2026-03-02", "balance": "1.50", "name": None},
        {"email": "ada@a.example", "due_on": "2026-03-02", "balance": "1.5", "name": None},
    )


async def test_a_date_is_compared_as_a_date(ledger, database):
    cast = "CAST('2026-03-02' AS date)" if database.startswith("postgresql") else "'2026-03-02'"
    assert len(await read(database, f"SELECT 'ada' AS id WHERE {cast} = :date")) == 1


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM notifications",
        "DELETE FROM notifications RETURNING recipient_key AS id",
        "INSERT INTO tags (tag, notification_id) SELECT 'x', id FROM notifications",
        "UPDATE notifications SET state = 'sent' RETURNING recipient_key AS id",
        "DROP TABLE notifications",
        "CREATE TABLE other (id text)",
    ],
)
async def test_a_query_that_writes_is_refused_and_changes_nothing(ledger, database, query):
    await accepted(ledger, 2)
    assert await fault(database, query) == "the query tries to write; write a SELECT that only reads"
    assert [row.state for row in await rows(ledger)] == ["accepted", "accepted"]


async def test_a_function_that_writes_is_refused(ledger, database):
    if database.startswith("sqlite"):
        assert "tries to write" in await fault(database, "SELECT load_extension('x') AS id")
        said = await fault(database, "VACUUM INTO '/tmp/waypost-copy.db'")
        assert said == "the query tries to write; write a SELECT that only reads"
        assert not Path("/tmp/waypost-copy.db").exists()
        return
    await run_sql(ledger, "CREATE SEQUENCE IF NOT EXISTS counted")
    assert "tries to write" in await fault(database, "SELECT nextval('counted') AS id")
    said = await fault(
        database, "SELECT set_config('transaction_read_only', 'off', true) AS id, nextval('counted')"
    )
    assert said.startswith("the ")
    await run_sql(ledger, "DROP SEQUENCE counted")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC 1", "the database refused the query ("),
        ("SELECT id FROM no_such_table", "the database refused the query ("),
        ("SELECT 'a' AS id; DROP TABLE notifications", "the "),
        (
            "SELECT 'ada' AS name",
            "the query has no column email, phone or id; add one that names the recipient",
        ),
        ("SELECT 'a' AS id, 'b' AS \"ID\"", "the query has two columns id; rename one"),
        ("SELECT 'a' AS id WHERE :day = 1", "the query has a parameter :day; the only parameter is :date"),
    ],
)
async def test_a_broken_query_is_named(ledger, database, query, said):
    await accepted(ledger)
    assert (await fault(database, query)).startswith(said)
    assert len(await rows(ledger)) == 1


async def test_a_statement_without_rows_is_named(ledger, database):
    query = "BEGIN" if database.startswith("sqlite") else "SET search_path TO public"
    assert (await fault(database, query)).startswith("the query ")


async def test_a_value_in_an_error_is_not_repeated(ledger, database):
    if database.startswith("postgresql"):
        said = await fault(database, "SELECT CAST('hunter2' || n AS int) AS id FROM " + series(database, 3))
        assert "hunter2" not in said
        assert said.startswith("the query failed (")


async def test_a_query_that_sends_nothing_is_ended(ledger, database, monkeypatch):
    monkeypatch.setattr(queries, "ROWS_WITHIN", 0.5)
    endless = f"SELECT count(*) AS id FROM {series(database, -1)}"
    said = await fault(database, endless if database.startswith("sqlite") else "SELECT pg_sleep(60) AS id")
    assert "sent no rows for" in said


@pytest.mark.long
async def test_rows_stream_in_little_memory_and_stop_when_nobody_reads(ledger, database):
    query = f"SELECT 'r' || n || '@a.example' AS email, 'x' AS text FROM {series(database, 200_000)}"
    tracemalloc.start()
    async with aclosing(rows_of(database, query, DAY, Path("/"))) as parts:
        sizes = [len(part) async for part in parts]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (sum(sizes), max(sizes)) == (200_000, 500)
    assert most < 8_000_000
    async with aclosing(rows_of(database, query, DAY, Path("/"))) as parts:
        assert len(await anext(parts)) == 500


async def test_a_database_that_is_away_is_named_without_its_password(tmp_path):
    away = "postgresql://u:hunter2@127.0.0.1:1/d"
    assert await fault(away, "SELECT 1 AS id") == "the database does not respond (Connection refused)"
    said = await fault("postgresql://u:hunter2@127.0.0.1/d?colour=red", "SELECT 1 AS id")
    assert said.startswith("its url: the parameter colour is not supported")
    gone = await fault(f"sqlite:///{tmp_path}/gone.db", "SELECT 1 AS id")
    assert gone == f"the file {tmp_path}/gone.db does not exist"
    assert not (tmp_path / "gone.db").exists()
    (tmp_path / "text.db").write_text("not a database at all, but text " * 40)
    assert "file is not a database" in await fault(f"sqlite:///{tmp_path}/text.db", "SELECT id FROM x")
