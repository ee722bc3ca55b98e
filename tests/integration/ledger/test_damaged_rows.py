"""A damaged row fails alone: whatever a column of it holds, the work of its neighbours goes on.

Each case damages one column of one table, with another value in the rows of each of `DAMAGED`, and then does
all the work of `SOUND`, whose rows lie beside them.
"""

import asyncio
import shutil
import sqlite3
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

import pytest
import sqlalchemy as sa
from support.ledger import DIGEST, GROUPED, LONG_AGO, NOTE, ask, compose, run_sql
from support.minted_codes import key_of
from support.rings import ring

from waypost import Recipient
from waypost.gateway.auth.authenticator import Authenticator
from waypost.gateway.auth.key_format import mint
from waypost.ledger import open_ledger
from waypost.ledger.database import sealing, tables
from waypost.ledger.database.ledger import LEASE
from waypost.ledger.database.sealing import stored_keys
from waypost.ledger.database.tables import UtcDateTime, metadata, notifications
from waypost.ledger.intake import accept
from waypost.ledger.operations import retention, search, stats, timeline
from waypost.ledger.queue import batches, claims, digests, holds, suspects
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.ledger.queue.reaper import Reaper
from waypost.ledger.queue.waiting_lanes import waiting_lanes
from waypost.ledger.records import (
    api_keys,
    preferences,
    provider_rates,
    recipients,
    soft_bounces,
    suppressions,
    webhook_outbox,
    webhooks,
)
from waypost.ledger.records.verification_codes import Checked, check_code
from waypost.model.profile import Profile
from waypost.model.suppression import Cause, Suppression
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
TYPES = {"note": NOTE, "digest": DIGEST}
SOUND = "sound"
ON_SQLITE = ["'zz'", "x'ff00'", "CAST(x'ff' AS TEXT)", "5", "-5", "9223372036854775807", "'[1]'"]
ON_POSTGRES = ["'infinity'", "'-infinity'", "'20000-01-01'", "'0001-01-01 BC'"]
DAMAGED = [f"damaged{number}" for number in range(len(ON_SQLITE))]
LATER = LONG_AGO.replace(year=2100)
IN_HAND = sa.text("SELECT recipient_key FROM notifications WHERE state IN ('claimed', 'sending')")

# A worker leaves the batches of types that it does not know to other workers.
ANOTHER_WORKERS = ("batches", "type")


@dataclass
class World:
    """rows: of each table. owned: the primary keys of each person's rows. keys: each person's API key."""

    rows: dict[str, list[dict]] = field(default_factory=dict)
    owned: dict[tuple[str, str], list[tuple]] = field(default_factory=lambda: defaultdict(list))
    keys: dict[str, str] = field(default_factory=dict)
    webhook: UUID | None = None
    reported: UUID | None = None
    note: UUID | None = None


@pytest.fixture(scope="module")
def world_and_file(tmp_path_factory, empty_ledger):
    file = shutil.copy(empty_ledger, tmp_path_factory.mktemp("world") / "ledger.db")
    world = World()
    asyncio.run(_make(world, f"sqlite:///{file}"))
    return world, file


async def _make(world, url):
    ledger = open_ledger(url, ring=ring)
    seen = set()
    await recipients.put(ledger, Profile(id=SOUND, email=f"{SOUND}@a.example"))
    await ledger.read(lambda connection: _note_owned(connection, world, SOUND, seen))
    for person in [*DAMAGED, SOUND]:
        [first] = await accept.accept(ledger, GROUPED, [_keyed(person)])
        await accept.accept(ledger, NOTE, [ask(to=person, digest=True)])
        world.note = first.id
        await ledger.write(lambda connection, person=person: _add(connection, world, person))
        await ledger.read(lambda connection, person=person: _note_owned(connection, world, person, seen))
    world.rows = await ledger.read(_all_rows)
    await ledger.close()


def _keyed(person):
    return ask(person, person, idempotency_key=person, tags=["tag"])


def _all_rows(connection):
    found = {table.name: connection.execute(sa.select(table)).mappings() for table in metadata.sorted_tables}
    return {name: [dict(row) for row in rows] for name, rows in found.items()}


def _note_owned(connection, world, person, seen):
    for table in metadata.sorted_tables:
        for key in connection.execute(sa.select(*table.primary_key)):
            if (table.name, tuple(key)) not in seen:
                seen.add((table.name, tuple(key)))
                world.owned[table.name, person].append(tuple(key))


def _add(connection, world, person):
    """The rows of `person` besides those of its requests, and what lies beside SOUND's."""

    def add(table, **values):
        connection.execute(sa.insert(table).values(**values))

    def hashed(address):
        return sealing.stored_key(connection, f"mailto:{address}")

    def add_note(state, to=person, **more):
        id, times = new_id(), dict.fromkeys(("accepted_at", "due_at"), LONG_AGO)
        values = {"type": "note", "recipient_key": to, "data": {"text": "x"}, "expires_at": LATER}
        add(notifications, id=id, state=state, **times, **values, **more)
        return id

    def add_batch(**more):
        id = new_id()
        values = {"type": "note", "priority": "normal", "size": 1, "owner": person, "flow_run_id": new_id()}
        add(tables.batches, id=id, created_at=LONG_AGO, leased_until=LONG_AGO, **values, **more)
        return id

    def add_attempt(notification, **more):
        values = {"number": 1, "channel": "email", "provider": "smtp", "started_at": LONG_AGO}
        add(tables.attempts, id=new_id(), notification_id=notification, **values, **more)

    def add_code(to):
        id = add_note("sent", to)
        add_attempt(id, finished_at=LONG_AGO, verdict="accepted")
        add(
            tables.verifications, notification_id=id, recipient_key=to, channel="email",
            address=hashed(f"{to}@a.example"), code_hash=_hash(person), minted_at=LONG_AGO, expires_at=LATER,
        )  # fmt: skip

    add_note("claimed", batch_id=add_batch())
    taken = add_batch(taken_at=LONG_AGO, taken_by=new_id())
    add_note("claimed", batch_id=taken)
    add_attempt(add_note("sending", batch_id=taken), batch_id=taken)
    add_note("sending", batch_id=taken, in_doubt=1)
    world.reported = add_batch(ended_at=LONG_AGO, ending="lost")
    old = add_note("sent", finished_at=LONG_AGO)
    add(tables.events, id=new_id(), notification_id=old, at=LONG_AGO, what="run lost", batch_id=taken)
    add_code(person)
    if person != SOUND:
        add_code(SOUND)
    times = {"since": LONG_AGO}
    add(tables.holds, type=f"held-{person}", reason="", **times)
    add(tables.released_holds, id=new_id(), type="note", reason="", released_at=now(), **times)
    minted = mint()
    world.keys[person] = minted.text
    add(
        tables.api_keys, id=minted.id, client=person, secret_hash=minted.secret_hash, scopes=["read"],
        rate=10, created_at=LONG_AGO, expires_at=LATER,
    )  # fmt: skip
    if world.webhook is None:
        world.webhook = new_id()
    own = world.webhook if person == SOUND else new_id()
    add(tables.webhooks, id=own, client=person, url="https://a.example", states=",sent,", created_at=LONG_AGO)
    for webhook in {own, world.webhook}:
        values = {"type": "note", "state": "sent", "reason": "", "at": now(), "due_at": LONG_AGO}
        add(tables.webhook_events, webhook_id=webhook, notification_id=world.note, **values)
    add(tables.rates, provider=person, free_at=0.0)
    theirs = {"client": "", "recipient_key": person, "category": "transactional"}
    add(tables.preferences, cadence="at once", chosen_by="api", updated_at=LONG_AGO, **theirs)
    other = f"{person}@other.example"
    stopped = {"address": hashed(other), "shown": other, "client": "", "scope": "", "cause": "manual"}
    add(tables.suppressions, created_at=LONG_AGO, expires_at=LATER, **stopped)
    home = f"{person}@home.example"
    further = {"client": "", "key": person, "stored_key": hashed(home), "kind": "email", "address": home}
    add(tables.recipient_addresses, verified_at=LONG_AGO, added_at=LONG_AGO, **further)
    add(tables.soft_bounces, address=hashed(f"{person}@a.example"), notification_id=new_id(), at=LATER)


def _hash(person):
    return sha256(person.encode()).digest()


def _damage_sqlite(file, world, table, column):
    database = sqlite3.connect(file)
    names = [one.name for one in table.primary_key]
    where = " AND ".join(f'"{name}" = ?' for name in names)
    for person, value in zip(DAMAGED, ON_SQLITE, strict=True):
        for key in world.owned[table.name, person]:
            values = [part.hex if isinstance(part, UUID) else part for part in key]
            changed = f'UPDATE OR IGNORE "{table.name}" SET "{column}" = {value}'
            with suppress(sqlite3.IntegrityError):  # the one thing that SQLite checks: a rowid is a number
                database.execute(f"{changed} WHERE {where}", values)
    database.commit()
    database.close()


EVERY_COLUMN = [
    pytest.param(table, column.name, id=f"{table.name}.{column.name}")
    for table in metadata.sorted_tables
    if table.name != "installation"  # its one row belongs to everybody
    for column in table.c
]


@pytest.mark.long
@pytest.mark.parametrize(("table", "column"), EVERY_COLUMN)
async def test_on_sqlite_no_value_of_a_column_harms_another_row(world_and_file, tmp_path, table, column):
    world, made = world_and_file
    file = shutil.copy(made, tmp_path / "ledger.db")
    _damage_sqlite(file, world, table, column)
    ledger = open_ledger(f"sqlite:///{file}", ring=ring)
    try:
        await _all_goes_on(ledger, world, (table.name, column))
    finally:
        await ledger.close()


EVERY_MOMENT = [one for one in EVERY_COLUMN if isinstance(one.values[0].c[one.values[1]].type, UtcDateTime)]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("table", "column"), EVERY_MOMENT)
async def test_on_postgresql_no_moment_harms_another_row(world_and_file, ledger, table, column):
    world, _ = world_and_file
    await ledger.write(lambda connection: _copy(connection, world))
    key = sa.tuple_(*table.primary_key)
    for person, value in zip(DAMAGED, ON_POSTGRES, strict=False):
        mine = sa.update(table).where(key.in_(world.owned[table.name, person]))
        damaged = mine.values({column: sa.literal_column(value)})
        await ledger.write(lambda connection, damaged=damaged: connection.execute(damaged))
    await _all_goes_on(ledger, world, (table.name, column))


def _copy(connection, world):
    for table in metadata.sorted_tables:
        if rows := world.rows[table.name]:
            connection.execute(sa.insert(table), rows)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_row_that_cannot_be_read_is_logged_once_by_its_table_and_key(ledger, caplog):
    minted = mint()
    key = api_keys.ApiKey(minted.id, "shop", ["read"], None, now(), None, None, minted.secret_hash)
    await api_keys.add(ledger, key)
    await run_sql(ledger, "UPDATE api_keys SET created_at = 'zz'")
    for _ in range(3):
        assert (await api_keys.active_keys(ledger)).damaged == [minted.id]
    assert caplog.messages == [f"a row of api_keys cannot be read and is skipped (ValueError): {minted.id}"]


async def test_an_ended_batch_that_cannot_be_read_counts_as_reported(world_and_file, tmp_path):
    world, made = world_and_file
    file = shutil.copy(made, tmp_path / "ledger.db")
    _damage_sqlite(file, world, tables.batches, "ending")
    ledger = open_ledger(f"sqlite:///{file}", ring=ring)
    await batches.unreported(ledger, now(), limit=len(DAMAGED))  # they are the oldest, and fill the list
    assert [one.id for one in await batches.unreported(ledger, now())] == [world.reported]
    await ledger.close()


async def _all_goes_on(ledger, world, damaged):
    for work in WORK_ON[damaged[0]]:
        await work(ledger, world, damaged)


async def _lists(ledger, world, _):
    found, after = [], None
    while True:
        page = await search.find(ledger, search.Filter(), after, 1000)
        found += page.notifications
        if page.next is None:
            break
        after = page.next
    assert world.note in [one.id for one in found]
    assert (await timeline.explain(ledger, world.note)).recipient.startswith(SOUND)


async def _doctor(ledger, *_):
    assert f"held-{SOUND}" in [one.type for one in await holds.held_types(ledger)]
    assert SOUND in await stats.lapsed(ledger, now())
    await stats.silent(ledger, now())
    await suspects.suspects(ledger)
    assert await stats.open_count(ledger)


async def _intake(ledger, *_):
    people = [*DAMAGED, SOUND]
    again = await accept.accept_each(ledger, GROUPED, [_keyed(one) for one in people])
    assert again[-1].outcome == "repeated"
    grouped = await accept.accept_each(ledger, GROUPED, [ask(one, one) for one in people])
    assert grouped[-1].outcome == "grouped"
    by_id = [ask(recipient=Recipient(id=one)) for one in people]
    assert (await accept.accept_each(ledger, NOTE, by_id))[-1].outcome == "accepted"


async def _reconciler(ledger, world, _):
    [batch] = [one for one in await batches.unreported(ledger, now()) if one.id == world.reported]
    await batches.runs_in_hand(ledger, [batch.flow_run_id])
    await batches.open_among(ledger, [batch.id])


async def _lost_runs(ledger, _, damaged):
    time = 0.0
    reaper = Reaper(ledger, TYPES, lambda: time)
    for _ in range(8):
        await reaper.look()
        time += LEASE.total_seconds() / 8
    left = set(await ledger.read(lambda connection: connection.scalars(IN_HAND).all()))
    assert SOUND not in left
    assert not left or damaged == ANOTHER_WORKERS


async def _digest(ledger, *_):
    batch, _ = await digests.bundle(ledger, DIGEST, "note", compose)
    taken = await claims.take_up(ledger, "digest", batch)
    assert SOUND in [one.recipient.key for one in taken.notifications]


async def _lanes(ledger, *_):
    found = set()
    for _ in range(100):
        lanes = await waiting_lanes(ledger, ["note"])
        if not any(lane.due_at <= now() for lane in lanes):
            break
        if claim := await claims.reserve(ledger, "note", lanes[0].priority):
            taken = await claims.take_up(ledger, "note", claim.id, limit=500)
            found |= {one.recipient.key for one in taken.notifications}
    else:
        pytest.fail("a lane is never empty")
    assert SOUND in found


async def _keys(ledger, world, _):
    authenticator = Authenticator(ledger)
    assert (await authenticator.verify(f"Bearer {world.keys[SOUND]}")).client == SOUND
    assert SOUND in [one.client for one in (await api_keys.all_keys(ledger)).keys]


async def _webhooks(ledger, world, _):
    assert world.webhook in await webhook_outbox.waiting(ledger)
    assert [one.client for one in await webhooks.every(ledger) if one.client == SOUND]
    told = []
    while world.webhook in await webhook_outbox.waiting(ledger):
        claim = await webhook_outbox.claim(ledger, key_of(ledger), world.webhook, 2, LEASE)
        told += [event.notification_id for event in claim.events] if claim else []
    assert world.note in told
    await webhook_outbox.forget(ledger)


async def _codes(ledger, *_):
    found = await check_code(ledger, key_of(ledger), SOUND, lambda _: _hash(SOUND))
    assert found is Checked.VERIFIED


async def _retention(ledger, *_):
    await retention.prune(ledger, 1)
    old = sa.text("SELECT 1 FROM notifications WHERE recipient_key = 'sound' AND finished_at < '2021-01-01'")
    assert not await ledger.read(lambda connection: connection.scalar(old))


async def _rates(ledger, *_):
    assert await provider_rates.reserve(ledger, SOUND, 1.0) >= 0


async def _recipients(ledger, *_):
    assert await recipients.get(ledger, SOUND)


async def _permissions(ledger, *_):
    await accept.accept(ledger, NOTE, [ask(to=one) for one in (*DAMAGED, SOUND)])
    claim = await claims.reserve(ledger, "note", NOTE.lane)
    policy = SendingPolicy.of(NOTE, {})
    taken = await claims.take_up(ledger, "note", claim.id, policy=policy)
    assert [one.rule for one in taken.notifications if one.recipient.key == SOUND] == ["recipient"]
    assert await preferences.choices(ledger, "", SOUND)


async def _redirected(ledger, *_):
    people = [*DAMAGED, SOUND]
    dead = [Suppression(address=f"{one}@a.example", cause=Cause.HARD_BOUNCE) for one in people]
    await suppressions.add(ledger, dead)
    await accept.accept(ledger, NOTE, [ask(recipient=Recipient(id=one)) for one in people])
    claim = await claims.reserve(ledger, "note", NOTE.lane)
    taken = await claims.take_up(ledger, "note", claim.id, policy=SendingPolicy.of(NOTE, {}))
    found = [one.recipient.email for one in taken.notifications if one.recipient.key == SOUND]
    assert f"{SOUND}@home.example" in found


async def _suppressions(ledger, *_):
    await suppressions.delete_expired(ledger)
    found = [one.address async for one in suppressions.each(ledger)]
    assert f"{SOUND}@other.example" in found


async def _soft_bounces(ledger, *_):
    addresses = [f"mailto:{one}@a.example" for one in (*DAMAGED, SOUND)]
    noted = [(f"{one}@a.example", new_id()) for one in (*DAMAGED, SOUND)]
    await ledger.write(lambda connection: soft_bounces.note(connection, noted))
    await soft_bounces.delete_old(ledger)
    found = await ledger.read(lambda c: soft_bounces.known(c, stored_keys(c, addresses)))
    assert addresses[-1] in found


_QUEUE = [_lists, _doctor, _intake, _reconciler, _lost_runs, _digest, _lanes]
# What reads each table.
WORK_ON = {
    "api_keys": [_keys],
    "attempts": [_lists, _lost_runs, _webhooks, _codes],
    "batches": [*_QUEUE, _retention],
    "events": [_lists, _retention],
    "groups": [_intake, _retention],
    "holds": [_lists, _doctor, _digest, _lanes],
    "idempotency_keys": [_intake, _retention],
    "notifications": [*_QUEUE, _webhooks, _codes, _recipients, _retention],
    "preferences": [_permissions],
    "rates": [_rates],
    "recipient_addresses": [_codes, _redirected, _recipients, _retention],
    "recipients": [_lists, _intake, _digest, _lanes, _codes, _recipients, _retention],
    "released_holds": [_lists, _retention],
    "soft_bounces": [_permissions, _soft_bounces],
    "suppressions": [_permissions, _suppressions],
    "tags": [_lists, _webhooks, _retention],
    "verifications": [_codes, _retention],
    "webhook_events": [_webhooks, _retention],
    "webhooks": [_webhooks, _retention],
}
