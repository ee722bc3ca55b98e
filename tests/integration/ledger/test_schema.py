"""The schema: made by migrations, the same as the tables in code, checked before use."""

import asyncio
import os
import re
from datetime import timedelta

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from support.ledger import accepted, lost, reserved, rows, run_sql

from waypost.cli.errors import explained
from waypost.config.settings import Settings, with_async_driver
from waypost.deployments.doctor.ledger import ledger_findings
from waypost.ledger import LedgerBehind, open_ledger
from waypost.ledger.database import migrate
from waypost.ledger.database.tables import Id, Json, UtcDateTime, metadata, recipients, released_holds
from waypost.ledger.database.unreachable import LedgerUnreachable
from waypost.ledger.queue.holds import hold, release
from waypost.model.receipt import IntakeResult
from waypost.system import clock
from waypost.system.ids import new_id

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
    assert (again.outcome, again.id) == (IntakeResult.REPEATED, before.id)
    assert (await release(ledger, "note")).hold.reason == "wrong price"
    assert [one.reason for one in await rows(ledger, released_holds)] == ["wrong price"]


FIRST_RECIPIENTS = sa.table(
    "recipients", sa.column("key"), sa.column("email"), sa.column("updated_at", UtcDateTime())
)
FIRST_NOTIFICATIONS = sa.table(
    "notifications",
    *map(sa.column, ("type", "recipient_key", "state")),
    *(sa.column(name, Id) for name in ("id", "batch_id")),
    *(sa.column(name, UtcDateTime()) for name in ("accepted_at", "due_at", "expires_at")),
    sa.column("data", Json),
)
FIRST_ATTEMPTS = sa.table(
    "attempts",
    *map(sa.column, ("channel", "provider", "number")),
    *(sa.column(name, Id) for name in ("id", "notification_id")),
    sa.column("started_at", UtcDateTime()),
)


async def test_what_a_run_of_the_first_version_had_claimed_goes_out_again(ledger):
    """The first version kept a lease in each notification; later versions keep a lease for each batch."""
    batch = new_id()
    states = {"accepted": None, "claimed": batch, "sending": batch, "sent": batch}
    await ledger.write(lambda connection: _begin_at_the_first(connection, states))
    await ledger.upgrade()
    assert [one.batch for one in await lost(ledger)] == [batch]
    found = {row.data["text"]: (row.state, row.in_doubt) for row in await rows(ledger)}
    assert found == {
        "accepted": ("accepted", 0),
        "claimed": ("accepted", 0),
        "sending": ("deferred", 1),
        "sent": ("sent", 0),
    }
    assert (await reserved(ledger)).size == 2


def _begin_at_the_first(connection, states):
    tables, moment = sa.MetaData(), clock.now()
    tables.reflect(connection)
    tables.drop_all(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("DROP FUNCTION waypost_tell_webhooks"))
    command.upgrade(migrate.config(connection), "0001")
    ada = {"key": "ada", "email": "ada@a.example", "updated_at": moment}
    connection.execute(FIRST_RECIPIENTS.insert(), ada)
    same = {
        "type": "note", "recipient_key": "ada", "accepted_at": moment, "due_at": moment,
        "expires_at": moment + timedelta(days=1),
    }  # fmt: skip
    for state, batch in states.items():
        row = {**same, "id": new_id(), "batch_id": batch, "state": state, "data": {"text": state}}
        connection.execute(FIRST_NOTIFICATIONS.insert(), row)
        if state == "sending":
            attempt = {"channel": "email", "provider": "smtp", "number": 1, "started_at": moment}
            connection.execute(
                FIRST_ATTEMPTS.insert(), {**attempt, "id": new_id(), "notification_id": row["id"]}
            )


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
    (tmp_path / "empty.db").touch()
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
        assert told.endswith("correct WAYPOST_DATABASE_URL")
        assert "hunter2" not in told
    await nowhere.close()


async def test_a_database_that_there_is_not_is_told(postgres_server):
    missing = open_ledger(with_async_driver(postgres_server.rpartition("/")[0] + "/no_such_database"))
    with pytest.raises(LedgerUnreachable, match=r"refuses the connection .*no_such_database"):
        await missing.check_schema()
    await missing.close()


async def test_what_a_url_names_beside_the_database_reaches_the_server(postgres_url):
    named = "sslmode=prefer&connect_timeout=5&application_name=shop%20mails&options=-c%20work_mem%3D7MB"
    ledger = open_ledger(with_async_driver(f"{postgres_url}?{named}"))
    shown = sa.text("SELECT current_setting('application_name'), current_setting('work_mem')")
    assert await ledger.read(lambda connection: tuple(connection.execute(shown).one())) == (
        "shop mails",
        "7MB",
    )
    await ledger.close()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("sslmode=require", "refuses the connection|cannot be reached"),
        ("sslmode=sometimes", "`sslmode` parameter must be one of"),
        ("target_session_attrs=standby", "None of the hosts match the target attribute requirement"),
    ],
)
async def test_what_the_server_does_not_offer_is_told(postgres_url, named, said):
    ledger = open_ledger(with_async_driver(f"{postgres_url}?{named}"))
    with pytest.raises(LedgerUnreachable, match=said):
        await ledger.check_schema()
    await ledger.close()


@pytest.fixture
async def other_database(postgres_server):
    """Makes an empty database, as the statement's end says, and answers its URL; it is dropped again."""
    server = await asyncpg.connect(postgres_server)
    names = []

    async def make(options="", login=""):
        name = f"waypost_test_{os.getpid()}_{len(names)}"
        await server.execute(f'CREATE DATABASE "{name}" {options}')
        names.append(name)
        address = postgres_server.rpartition("/")[0].rpartition("@")
        return f"{(login and f'postgresql://{login}') or address[0]}@{address[2]}/{name}"

    yield make
    for name in names:
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


async def refusals(url):
    """What is said to who upgrades, and to who only looks."""
    ledger = open_ledger(with_async_driver(url))
    for ask in (ledger.upgrade, ledger.check_schema):
        with pytest.raises(LedgerUnreachable) as refused:
            await ask()
        yield explained(refused.value)
    await ledger.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_name_is_refused(other_database, encoding):
    url = await other_database(f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    async for told in refusals(url):
        assert f"has the encoding {encoding}" in told
        assert "ENCODING 'UTF8'" in told


async def test_a_role_that_may_create_nothing_is_told_the_grant_it_needs(other_database, postgres_server):
    role = f"waypost_test_{os.getpid()}"
    url = await other_database(login=role)
    server = await asyncpg.connect(postgres_server.rpartition("/")[0] + "/" + url.rpartition("/")[2])
    await server.execute(f'CREATE ROLE "{role}" LOGIN')
    await server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        async for told in refusals(url):
            [grant] = re.findall(r"run (GRANT .*?);", told)
        await server.execute(grant)
        ledger = open_ledger(with_async_driver(url))
        await ledger.upgrade()
        await server.execute(f'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{role}"')
        with pytest.raises(LedgerUnreachable, match=r"permission denied .*SELECT, INSERT, UPDATE"):
            await ledger.check_schema()
        await ledger.close()
    finally:
        await server.execute(f'DROP OWNED BY "{role}" CASCADE')
        await server.execute(f'DROP ROLE "{role}"')
        await server.close()


async def test_times_come_back_in_utc(ledger):
    await accepted(ledger)
    [row] = await rows(ledger)
    assert row.accepted_at.utcoffset().total_seconds() == 0


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_connections_lost_while_they_lay_in_the_pool_are_not_noticed(ledger):
    one = sa.text("SELECT 1")
    await asyncio.gather(*(ledger.read(lambda connection: connection.execute(one)) for _ in range(4)))
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    end = sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    await ledger.read(lambda connection: connection.execute(end))
    for _ in range(6):
        assert await ledger.write(lambda connection: connection.scalar(sa.text("SELECT 7"))) == 7


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_one_of_two_that_block_each_other_is_done_over(ledger):
    await accepted(ledger, 2)

    def both(first, second):
        def work(connection):
            for key in (first, second):
                connection.execute(sa.update(recipients).where(recipients.c.key == key).values(name="Ada"))
                connection.execute(sa.text("SELECT pg_sleep(0.2)"))

        return work

    await asyncio.gather(ledger.write(both("r0", "r1")), ledger.write(both("r1", "r0")))
    assert [row.name for row in await rows(ledger, recipients)] == ["Ada", "Ada"]


async def test_doctor_says_once_what_a_ledger_of_another_version_needs(tmp_path):
    (tmp_path / "empty.db").touch()
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'empty.db'}", secret_key="a key of sixteen or more"
    )
    [finding] = await ledger_findings(settings)
    assert (finding.ok, finding.advice) == (False, "run `waypost db upgrade`")
    assert "upgrade" not in finding.found
