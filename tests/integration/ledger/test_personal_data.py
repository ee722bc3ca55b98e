"""Personal data at rest: nothing of it is in the clear in any table, and what was before is sealed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.ledger import NOTE, ask, rows, taken
from support.people import ADA, BOB, FACT, HOME, REPLY, lived
from support.rings import TESTS

from waypost import Category
from waypost.config.settings import with_async_driver
from waypost.ledger import open_ledger
from waypost.ledger.database import tolerant
from waypost.ledger.database.sealing import SEALED, stored_keys
from waypost.ledger.database.tables import metadata, notifications, recipients
from waypost.ledger.database.unreachable import OtherDataKey
from waypost.ledger.intake.accept import accept
from waypost.ledger.operations import search, timeline
from waypost.ledger.operations.search import Filter
from waypost.ledger.records import recipients as people
from waypost.ledger.records import resealing
from waypost.ledger.records import suppressions as stops
from waypost.mail.address import url_of
from waypost.system.clock import now
from waypost.system.key_ring import DataKey, KeyRing

pytestmark = pytest.mark.anyio
SECRETS = (
    "lovelace",
    "poetical",
    "augusta",
    "builder.example",
    "5551234",
    "robert b",
    "neighbour",
    "in the spool",
    "golden plan",
    "summerhouse",
)


async def in_the_clear(ledger):
    """Where in the ledger's tables one of SECRETS can be read: table and column."""

    def work(connection):
        return [
            (table.name, column)
            for table in metadata.sorted_tables
            for row in tolerant.read(connection, _raw(table))
            for column, value in row._mapping.items()
            if any(secret in tolerant.text(value).lower() for secret in SECRETS)
        ]

    return set(await ledger.read(work))


def _raw(table):
    return sa.select(*(sa.cast(column, sa.Text).label(column.name) for column in table.c))


async def test_nothing_of_people_is_in_the_clear(ledger):
    await lived(ledger)
    assert await in_the_clear(ledger) == set()


async def test_what_is_sealed_is_read_as_it_was(ledger):
    await lived(ledger)
    shown = await people.get(ledger, ADA.key)
    assert shown is not None
    assert (shown["id"], shown["email"], shown["name"]) == (url_of(ADA.email), ADA.email, ADA.name)
    assert {one.address async for one in stops.each(ledger)} == {ADA.email.lower(), BOB.email}
    [entry] = (await search.find(ledger, Filter(recipient=(ADA.key,)), reveal=True)).notifications
    assert entry.recipient == ADA.email
    explained = await timeline.explain(ledger, entry.id, reveal=True)
    assert REPLY in {attempt.words for attempt in explained.attempts}
    assert {row.data["text"] for row in await rows(ledger)} >= {FACT}


async def test_attributes_and_addresses_are_read_as_they_were_and_forgotten(ledger):
    await lived(ledger)
    shown = await people.get(ledger, "bob")
    assert shown is not None
    assert shown["attributes"] == {"plan": "the golden plan"}
    assert [one["address"] for one in shown["addresses"]] == [BOB.email, BOB.phone, HOME]
    assert await people.forget(ledger, "bob")
    assert {row.attributes is None for row in await rows(ledger, recipients)} == {True}


async def test_once_forgotten_nothing_tells_of_a_recipient(ledger):
    await lived(ledger)
    assert await people.forget(ledger, ADA.key)
    assert await people.get(ledger, ADA.key) is None
    assert ADA.email.lower() not in {one.address async for one in stops.each(ledger)}
    found = await ledger.read(
        lambda connection: stops.of_addresses(
            connection, stored_keys(connection, [url_of(ADA.email)]), Category.TRANSACTIONAL, now()
        )
    )
    assert found  # still nothing goes there


async def test_once_forgotten_no_column_tells_of_a_recipient_though_nothing_is_sealed(ledger):
    """What would be sealed is found here, so that the search cannot miss it."""
    in_clear(ledger)
    await lived(ledger)
    assert {table for table, _ in await in_the_clear(ledger)} >= {table.name for table in SEALED}
    for key, client in ((ADA.key, ""), ("bob", ""), ("bob", "shop")):
        assert await people.forget(ledger, key, client)
    assert await in_the_clear(ledger) == set()


def raw_bytes(database):
    """The octets of a ledger on SQLite: of its file, and of its log."""
    file = Path(database.removeprefix("sqlite:///"))
    found = [one.read_bytes() for one in (file, file.with_name(f"{file.name}-wal")) if one.exists()]
    return b"".join(found).lower()


def in_file(database):
    return {secret for secret in SECRETS if secret.encode() in raw_bytes(database)}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_file_and_its_log_have_nothing_of_people(ledger, database):
    await lived(ledger)
    assert in_file(database) == set()
    assert b"sealed:1:tests:" in raw_bytes(database)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_after_an_erase_and_vacuum_the_file_and_its_log_have_nothing_though_nothing_is_sealed(
    ledger, database
):
    """As docs/personal-data.md says."""
    in_clear(ledger)
    await lived(ledger)
    assert in_file(database) == set(SECRETS)
    for key, client in ((ADA.key, ""), ("bob", ""), ("bob", "shop")):
        assert await people.forget(ledger, key, client)
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as shell:
        shell.executescript("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
    assert in_file(database) == set()


def in_clear(ledger):
    ledger.sealing.ring = KeyRing()


async def test_what_is_in_the_clear_is_sealed_in_the_background(ledger):
    in_clear(ledger)
    await lived(ledger)
    assert ("notifications", "data") in await in_the_clear(ledger)
    ledger.sealing.ring = KeyRing([TESTS])
    assert resealing.IN_CLEAR in await resealing.counts(ledger)
    before = [await rows(ledger, table) for table in SEALED]
    assert await resealing.reseal(ledger, "here")
    assert await in_the_clear(ledger) == set()
    assert [await rows(ledger, table) for table in SEALED] == before
    assert not await resealing.counts(ledger)
    assert await resealing.reseal(ledger, "here") == 0


async def test_a_new_key_takes_over_all_that_older_keys_sealed(ledger):
    await lived(ledger)
    before = [await rows(ledger, table) for table in SEALED]
    newer = DataKey("newer", b"n" * 32)
    ledger.sealing.ring = KeyRing([newer, TESTS])
    assert set(await resealing.counts(ledger)) == {"tests"}
    await resealing.reseal(ledger, "here")
    ledger.sealing.ring = KeyRing([newer])  # the older key is not needed any more
    assert [await rows(ledger, table) for table in SEALED] == before
    await ledger.read(ledger.sealing.check)
    assert await people.get(ledger, ADA.key)


async def test_a_row_whose_key_is_missing_fails_alone(ledger, caplog):
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob")])
    lost = KeyRing([DataKey("lost", b"l" * 32)])
    [bad, _] = await rows(ledger)
    values = lost.seal(b'{"text": "x"}', b"data@notifications\0" + bad.id.hex.encode())
    changed = sa.update(notifications).where(notifications.c.id == bad.id).values(data=values)
    await ledger.write(lambda connection: connection.execute(changed))
    _, found = await taken(ledger)
    assert [one.recipient.key for one in found] == ["bob"]
    assert "sealed with the key lost, which this process does not have" in caplog.text
    assert await search.find(ledger, Filter())


async def test_a_process_that_lacks_a_newer_key_fails_no_row(ledger, database):
    await accept(ledger, NOTE, [ask(recipient=ADA)])
    newer = KeyRing([DataKey("newer", b"n" * 32), TESTS])
    other = open_ledger(with_async_driver(database), ring=lambda: newer)
    await accept(other, NOTE, [ask(recipient=BOB)])
    with pytest.raises(OtherDataKey, match="key newer"):
        await taken(ledger)
    assert {row.state for row in await other.read(lambda c: c.execute(_states()).all())} == {"claimed"}
    await other.close()


async def test_a_process_without_the_keys_touches_nothing(ledger):
    await accept(ledger, NOTE, [ask(recipient=ADA)])
    ledger.sealing.ring, ledger.sealing._hash_key = KeyRing([DataKey("other", b"o" * 32)]), None
    with pytest.raises(OtherDataKey, match="key tests"):
        await ledger.read(ledger.sealing.check)
    with pytest.raises(OtherDataKey):
        await taken(ledger)
    assert [row.state for row in await ledger.read(lambda c: c.execute(_states()).all())] == ["claimed"]


def _states():
    return sa.select(notifications.c.state)
