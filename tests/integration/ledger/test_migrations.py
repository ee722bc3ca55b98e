"""Migrations on data of the version before: whose it is, and nothing of it lost."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.ledger import GROUPED, NOTE, ask, change, rows, run_sql, taken

from waypost import Recipient
from waypost.ledger.database import migrate
from waypost.ledger.database.sealing import SEALED
from waypost.ledger.database.tables import (
    groups,
    idempotency_keys,
    metadata,
    notifications,
    recipients,
    soft_bounces,
    verifications,
)
from waypost.ledger.database.tables import preferences as preferences_table
from waypost.ledger.database.tables import suppressions as suppressions_table
from waypost.ledger.intake.accept import accept, accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records import preferences, suppressions
from waypost.ledger.records import recipients as people
from waypost.ledger.records.resealing import reseal
from waypost.model.category import Category
from waypost.model.profile import Profile
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
WITH_KEYS = (
    (recipients, "key"),
    (notifications, "recipient_key"),
    (preferences_table, "recipient_key"),
    (suppressions_table, "address"),
    (soft_bounces, "address"),
    (verifications, "recipient_key"),
    (verifications, "address"),
)
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


STATES = ("accepted", "claimed", "sending", "deferred", "held", "sent", "failed", "expired", "cancelled")


async def at_0015(ledger):
    """A ledger of the version before keys were hashed, with a notification to an address in every state."""
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0015"))
    key, later = "mailto:ada@a.example", "2099-01-01 00:00:00"
    moments = {"accepted_at": THEN, "due_at": THEN, "expires_at": later}
    await filled(ledger, "recipients", client="", key=key, email="Ada@a.example", name="Ada", updated_at=THEN)
    for number, state in enumerate(STATES):
        id = f"{number:032x}"
        await filled(
            ledger, "notifications", id=id, type="note", recipient_key=key, data='{"text": "hello"}',
            named='{"email": "Ada@a.example"}', state=state, reason="digest" if state == "held" else "",
            **moments,
        )  # fmt: skip
        await filled(
            ledger, "attempts", id=id, notification_id=id, number=1, channel="email", provider="smtp",
            started_at=THEN, words="queued for Ada",
        )  # fmt: skip
    await filled(
        ledger, "preferences", client="", recipient_key=key, category="marketing", cadence="never",
        chosen_by="one click", updated_at=THEN,
    )  # fmt: skip
    await filled(
        ledger, "suppressions", address=key, client="", scope="", cause="manual", evidence="Ada asked",
        created_at=THEN,
    )  # fmt: skip
    await filled(ledger, "soft_bounces", address=key, notification_id="0" * 32, at=later)
    await filled(
        ledger, "verifications", notification_id="0" * 32, recipient_key=key, channel="email",
        address="ada@a.example", code_hash="x", minted_at=THEN, expires_at=THEN,
    )  # fmt: skip


async def test_what_was_known_by_an_address_is_known_by_its_hash(ledger):
    await at_0015(ledger)
    await ledger.upgrade()
    key = await ledger.stored_key("mailto:ada@a.example")
    for table, column in WITH_KEYS:
        assert {getattr(row, column) for row in await rows(ledger, table)} == {key}
    assert await people.get(ledger, "mailto:ada@a.example") == {
        "id": "mailto:ada@a.example", "email": "Ada@a.example", "phone": None, "name": "Ada",
        "locale": None, "timezone": None, "attributes": {},
        "addresses": [
            {
                "address": "Ada@a.example", "kind": "email", "main": True, "verified": False,
                "verified_at": None,
            }
        ],
        "updated_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }  # fmt: skip
    assert [one.address async for one in suppressions.each(ledger)] == ["ada@a.example"]
    assert Category.MARKETING in await preferences.choices(ledger, "", "mailto:ada@a.example")
    _, found = await taken(ledger)
    told = [(one.recipient.email, one.data) for one in found]
    assert told == [("Ada@a.example", {"text": "hello"})] * 2
    assert len(await rows(ledger)) == len(STATES)


async def test_what_was_in_the_clear_is_sealed_in_the_background(ledger):
    await at_0015(ledger)
    await ledger.upgrade()
    before = [await rows(ledger, table) for table in SEALED]
    assert await reseal(ledger, "here") >= len(STATES)
    assert [await rows(ledger, table) for table in SEALED] == before
    for table in SEALED:
        raw = await ledger.read(lambda connection, table=table: connection.execute(sa.select(table)).all())
        assert "hello" not in repr(raw)
        assert "Ada" not in repr(raw)


async def test_the_way_back_brings_addresses_into_the_keys_again(ledger):
    await at_0015(ledger)
    await ledger.upgrade()
    await reseal(ledger, "here")
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0015"))
    for table, column in WITH_KEYS:
        query = sa.text(f"SELECT DISTINCT {column} FROM {table.name}")
        found = await ledger.read(lambda connection, query=query: connection.scalars(query).all())
        bare = (table, column) == (verifications, "address")
        assert found == ["ada@a.example" if bare else "mailto:ada@a.example"]
    query = sa.text("SELECT email, name FROM recipients")
    assert await ledger.read(lambda connection: connection.execute(query).all()) == [("Ada@a.example", "Ada")]


async def test_recipients_of_before_have_no_attributes_and_lose_them_on_the_way_back(ledger):
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0017"))
    await filled(ledger, "recipients", client="", key="ada", email="ada@a.example", updated_at=THEN)
    await ledger.upgrade()
    found = await people.get(ledger, "ada")
    assert (found["email"], found["attributes"]) == ("ada@a.example", {})
    stored = await people.patch(ledger, Profile(id="ada", attributes={"plan": "gold"}), ["attributes"])
    assert stored.fields["attributes"] == {"plan": "gold"}
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0017"))
    await ledger.upgrade()
    assert (await people.get(ledger, "ada"))["attributes"] == {}


async def test_groups_that_are_open_and_keys_that_were_used_go_on_counting(ledger):
    """Versions before 0020 kept their hashes without a key."""
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0019"))
    asked = [
        Candidate(GROUPED, ask(recipient=Recipient(email="ada@a.example"))),
        Candidate(NOTE, ask(idempotency_key="k")),
    ]
    first = [await accept_all(ledger, [one]) for one in asked]
    before = [one.group or one.body_hash for one in asked]
    await change(ledger, groups, key=before[0])
    await change(ledger, idempotency_keys, body_hash=before[1])
    await ledger.upgrade()
    [kept] = [row.body_hash for row in await rows(ledger, idempotency_keys)]
    assert kept not in (b"", before[1])
    again = [await accept_all(ledger, [replace(one, id=new_id())]) for one in asked]
    assert [one.outcome for [one] in again] == ["grouped", "repeated"]
    assert [one.id for [one] in again] == [one.id for [one] in first]


async def test_what_is_hashed_cannot_be_found_by_trial(ledger):
    asked = Candidate(GROUPED, ask(recipient=Recipient(email="ada@a.example"), idempotency_key="k"))
    await accept_all(ledger, [asked])
    [group], [key] = await rows(ledger, groups), await rows(ledger, idempotency_keys)
    assert asked.group not in (None, group.key)
    assert asked.body_hash not in (b"", key.body_hash)
