"""Migrations on data of the version before: whose it is, and nothing of it lost."""

import json

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.ledger import NOTE, ask, rows, run_sql, taken

from waypost.ledger.database import migrate
from waypost.ledger.database.tables import metadata, notifications, recipients, verifications
from waypost.ledger.intake.accept import accept

pytestmark = pytest.mark.anyio
THEN = "2026-01-02 03:04:05.000000"
LATER = "2026-01-03 03:04:05.000000"


@pytest.fixture(autouse=True)
async def _at_its_head_for_the_next(ledger):
    yield
    await ledger.upgrade()


async def at_0005(ledger, known, sent, managers=()):
    """A ledger of the version before. known: key, email, phone, name, moment. sent: client and key."""
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0005"))
    for key, email, phone, name, at in known:
        await filled(ledger, "recipients", key=key, email=email, phone=phone, name=name, updated_at=at)
    for number, (client, key) in enumerate(sent):
        id = f"0000000000000000000000000000000{number}"
        await filled(
            ledger, "notifications", id=id, type="note", recipient_key=key, data='{"text": "hello"}',
            state="accepted", accepted_at=THEN, due_at=THEN, expires_at="2099-01-01 00:00:00", client=client,
        )  # fmt: skip
        await filled(
            ledger, "verifications", notification_id=id, recipient_key=key, address="a", code_hash="x",
            minted_at=THEN, expires_at=THEN,
        )  # fmt: skip
    for number, (client, scopes, revoked_at) in enumerate(managers):
        await filled(
            ledger, "api_keys", id=f"key{number}", client=client, secret_hash="x",
            scopes=json.dumps(scopes), created_at=THEN, revoked_at=revoked_at,
        )  # fmt: skip


async def filled(ledger, table, **values):
    written = ", ".join("NULL" if value is None else f"'{value}'" for value in values.values())
    await run_sql(ledger, f"INSERT INTO {table} ({', '.join(values)}) VALUES ({written})".replace(":", r"\:"))


async def upgraded(ledger):
    """Who is known to each client after the upgrade: their email, phone and name."""
    await ledger.upgrade()
    return {(row.client, row.key): (row.email, row.phone, row.name) for row in await rows(ledger, recipients)}


ADA = ("ada", "ada@a.example", None, "Ada", THEN)


async def test_each_client_keeps_who_it_sends_to(ledger):
    bob = ("bob", None, "+15550100", None, THEN)
    await at_0005(ledger, [ADA, bob], [("shop", "ada"), ("blog", "ada"), ("shop", "ada"), (None, "bob")])
    known = await upgraded(ledger)
    assert known == {
        ("shop", "ada"): ("ada@a.example", None, "Ada"),
        ("blog", "ada"): ("ada@a.example", None, "Ada"),
        ("", "bob"): (None, "+15550100", None),
    }


async def test_who_was_never_sent_to_is_kept_for_those_that_may_manage(ledger):
    keys = [("shop", ["send", "manage"], None), ("blog", ["send", "manage:alert"], None)]
    await at_0005(ledger, [ADA], [], [*keys, ("shop", ["manage"], None), ("old", ["manage"], THEN)])
    assert set(await upgraded(ledger)) == {("", "ada"), ("shop", "ada")}


async def test_the_spellings_of_a_phone_are_one_recipient_with_what_was_known_last(ledger):
    spelled = [
        ("tel:+1 555 0100", None, "+1 555 0100", "Old", THEN),
        ("tel:+1 (555) 01-00", None, "+1 (555) 01-00", "Eve", LATER),
        ("tel:+1.555.0100", None, "+1.555.0100", None, "2026-01-04 00:00:00"),
        ("id 1 (2)", None, None, "Ida", THEN),
    ]
    await at_0005(ledger, spelled, [("shop", key) for key, *_ in spelled])
    known, phone = await upgraded(ledger), await ledger.stored_key("tel:+15550100")
    assert known == {
        ("shop", phone): (None, "+1.555.0100", "Eve"),
        ("shop", "id 1 (2)"): (None, None, "Ida"),
    }
    for table in (notifications, verifications):
        assert {row.recipient_key for row in await rows(ledger, table)} == {phone, "id 1 (2)"}


async def test_what_waits_goes_on_to_who_it_was_for(ledger):
    await at_0005(ledger, [ADA], [("shop", "ada"), (None, "ada")])
    await upgraded(ledger)
    _, found = await taken(ledger)
    assert [one.recipient.email for one in found] == ["ada@a.example"] * 2


async def test_the_way_back_makes_one_recipient_of_every_clients_and_of_who_was_forgotten(ledger):
    await at_0005(ledger, [ADA], [("shop", "ada"), ("blog", "ada")])
    await upgraded(ledger)
    await run_sql(ledger, "DELETE FROM recipients WHERE client = 'shop'")
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob"), ask(to="eve")])
    await run_sql(ledger, "DELETE FROM recipients WHERE key = 'eve'")
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0005"))
    query = sa.text("SELECT key, email FROM recipients ORDER BY key")
    known = await ledger.read(lambda connection: connection.execute(query).all())
    assert known == [("ada", "ada@a.example"), ("bob", "bob@a.example"), ("eve", None)]
    await ledger.upgrade()
    differences = await ledger.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []


async def test_a_row_refers_to_who_there_is_again_after_the_way_back(ledger):
    await at_0005(ledger, [ADA], [("shop", "ada")])
    await upgraded(ledger)
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0005"))
    with pytest.raises(sa.exc.IntegrityError):
        await run_sql(ledger, "UPDATE notifications SET recipient_key = 'nobody'")
    await ledger.upgrade()
    await run_sql(ledger, "UPDATE notifications SET recipient_key = 'nobody'")
