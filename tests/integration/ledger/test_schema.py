"""The schema: made by migrations, the same as the tables in code, checked before use."""

import asyncio

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledgers import accepted, rows, run_sql

from waypost.cli.errors import explained
from waypost.ledger import LedgerBehind, migrate, open_ledger
from waypost.ledger.holds import hold, release
from waypost.ledger.reach import LedgerUnreachable
from waypost.ledger.tables import metadata, recipients, released_holds
from waypost.notification import Answer
from waypost.settings import with_async_driver

pytestmark = pytest.mark.anyio


async def test_migrations_make_exactly_the_tables_in_code(ledger):
    differences = await ledger.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []


def test_each_migration_comes_after_the_one_numbered_before_it():
    found = ScriptDirectory.from_config(migrate.config())
    assert found.get_heads() == [migrate.head()]
    numbers = [one.revision for one in found.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True)


async def test_upgrading_again_and_at_once_is_safe(ledger):
    await asyncio.gather(*(ledger.upgrade() for _ in range(3)))
    await ledger.check_schema()


@pytest.mark.parametrize("version", ["0002", "0003", "0004", "0005"])
async def test_a_ledger_of_an_earlier_version_keeps_what_it_knows(ledger, version):
    await accepted(ledger, idempotency_key="once")
    [before] = await rows(ledger)
    await hold(ledger, "note", "wrong price")
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), version))
    await ledger.upgrade()
    differences = await ledger.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []
    [after] = await rows(ledger)
    assert after.data == before.data == {"text": "hello"}
    [again] = await accepted(ledger, idempotency_key="once")
    assert (again.outcome, again.id) == (Answer.REPEATED, before.id)
    assert (await release(ledger, "note")).hold.reason == "wrong price"
    assert [one.reason for one in await rows(ledger, released_holds)] == ["wrong price"]


async def test_a_ledger_of_another_version_is_refused_with_advice(ledger):
    [known] = await ledger.read(
        lambda connection: connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all()
    )
    await run_sql(ledger, "UPDATE alembic_version SET version_num = '0000'")
    try:
        with pytest.raises(LedgerBehind, match="waypost db upgrade"):
            await ledger.check_schema()
    finally:
        await run_sql(ledger, f"UPDATE alembic_version SET version_num = '{known}'")


async def test_an_empty_database_is_refused_with_advice(tmp_path):
    empty = open_ledger(with_async_driver(f"sqlite:///{tmp_path / 'empty.db'}"))
    with pytest.raises(LedgerBehind, match="empty"):
        await empty.check_schema()
    await empty.close()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("127.0.0.1:9/mails", "mails at 127.0.0.1:9 refuses the connection (nothing listens there)"),
        ("no-such-host.invalid/mails", "mails at no-such-host.invalid:5432 cannot be found"),
    ],
)
async def test_which_database_cannot_be_reached_is_told_with_what_to_do_and_no_password(place, said):
    nowhere = open_ledger(with_async_driver(f"postgresql://u:hunter2@{place}?password=hunter2"))
    for ask in (nowhere.check_schema, nowhere.upgrade):
        with pytest.raises(LedgerUnreachable) as refused:
            await ask()
        told = explained(refused.value)
        assert told.startswith(f"the ledger's database {said}")
        assert told.endswith("mend WAYPOST_DATABASE_URL")
        assert "hunter2" not in told
    await nowhere.close()


async def test_a_database_that_there_is_not_is_told(postgres_server):
    missing = open_ledger(with_async_driver(postgres_server.rpartition("/")[0] + "/no_such_database"))
    with pytest.raises(LedgerUnreachable, match=r"refuses the connection .*no_such_database"):
        await missing.check_schema()
    await missing.close()


async def test_times_come_back_in_utc(ledger):
    await accepted(ledger)
    [row] = await rows(ledger)
    assert row.accepted_at.utcoffset().total_seconds() == 0


async def test_connections_lost_while_they_lay_in_the_pool_are_not_noticed(ledger):
    if not ledger.is_postgres:
        return  # a file has no connections to lose
    one = sa.text("SELECT 1")
    await asyncio.gather(*(ledger.read(lambda connection: connection.execute(one)) for _ in range(4)))
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    end = sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    await ledger.read(lambda connection: connection.execute(end))
    for _ in range(6):
        assert await ledger.write(lambda connection: connection.scalar(sa.text("SELECT 7"))) == 7


async def test_one_of_two_that_block_each_other_is_done_over(ledger):
    if not ledger.is_postgres:
        return  # its one writer waits for nobody
    await accepted(ledger, 2)

    def both(first, second):
        def work(connection):
            for key in (first, second):
                connection.execute(sa.update(recipients).where(recipients.c.key == key).values(name="Ada"))
                connection.execute(sa.text("SELECT pg_sleep(0.2)"))

        return work

    await asyncio.gather(ledger.write(both("r0", "r1")), ledger.write(both("r1", "r0")))
    assert [row.name for row in await rows(ledger, recipients)] == ["Ada", "Ada"]
