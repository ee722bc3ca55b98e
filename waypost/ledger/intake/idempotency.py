"""Idempotency keys: a repeated request gets the first response, even if both come in at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing
from waypost.ledger.database.bulk import do_nothing, in_ids, insert_many
from waypost.ledger.database.tables import idempotency_keys, notifications
from waypost.ledger.intake.candidate import Candidate
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.states import State

Key = tuple[str, str]  # the client, and the key


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger has under a key."""

    id: UUID
    body_hash: bytes
    state: State
    began: str

    @property
    def receipt(self) -> Receipt:
        return Receipt(IntakeResult.REPEATED, self.id, self.state, first_state=self.began)


KEPT = timedelta(hours=24)  # for a client's keys; keys without a client do not expire


def answer_repeats(connection: sa.Connection, candidates: Sequence[Candidate], moment: datetime) -> None:
    """Give a request under a known idempotency key the first response, or a conflict. A request whose key
    came before in `candidates` gets a twin, and later the twin's response (`answer_twins`)."""
    keyed = [(key, c) for c in candidates if (key := c.key)]
    # Sorted, so that two transactions take the same keys in the same order and cannot deadlock.
    first = dict(reversed(keyed))
    box = sealing.of(connection)
    hashes = {key: box.keyed(connection, one.body_hash) for key, one in first.items()}
    rows = [_row(key, candidate, hashes[key], moment) for key, candidate in sorted(first.items())]
    new, known = _take(connection, rows, moment)
    for key, candidate in keyed:
        if key not in new:
            before = known[key]
            same = before.body_hash == box.keyed(connection, candidate.body_hash)
            candidate.receipt = before.receipt if same else _conflict(before.id)
        elif (twin := first[key]) is not candidate:
            if twin.body_hash == candidate.body_hash:
                candidate.twin = twin
            else:
                candidate.receipt = _conflict(twin.id)


def answer_twins(candidates: Sequence[Candidate]) -> None:
    """Give each candidate with a twin the response of its twin."""
    for candidate in candidates:
        if candidate.twin is not None and (answer := candidate.twin.receipt) is not None:
            refused = answer.outcome is IntakeResult.REFUSED
            candidate.receipt = (
                answer if refused else replace(answer, outcome=IntakeResult.REPEATED, reason="")
            )


def _conflict(id: UUID) -> Receipt:
    said = f"this idempotency key was used with another body, for {id}; use a new key"
    return Receipt(IntakeResult.CONFLICT, id, None, said)


def _row(key: Key, candidate: Candidate, body_hash: bytes, moment: datetime) -> dict[str, Any]:
    return {
        "client": key[0],
        "key": key[1],
        "notification_id": candidate.id,
        "body_hash": body_hash,
        "began": candidate.begins,
        "created_at": moment,
    }


def _take(
    connection: sa.Connection, rows: list[dict[str, Any]], moment: datetime
) -> tuple[set[Key], dict[Key, Known]]:
    """Insert the keys of `rows`. Returns those that are new, and what is known under the others.

    A key that conflicts on insert but leads to no notification was deleted in between with its notification,
    or its notification is gone without it, or it is too old: it is deleted, and the insert is tried again.
    """
    new: set[Key] = set()
    known: dict[Key, Known] = {}
    while rows:
        inserted = insert_many(connection, idempotency_keys, rows, on_conflict=do_nothing)
        new |= set(map(_key, rows)) if inserted == len(rows) else _taken(connection, rows)
        known |= _known(connection, [key for row in rows if (key := _key(row)) not in new], moment)
        rows = [row for row in rows if (key := _key(row)) not in new and key not in known]
        _forget(connection, [_key(row) for row in rows], moment)
    return new, known


def _taken(connection: sa.Connection, rows: list[dict[str, Any]]) -> set[Key]:
    """Those of the keys of `rows` that were inserted: no other notification has them."""
    table = idempotency_keys.c
    ours = in_ids(table.notification_id, [row["notification_id"] for row in rows])
    found = connection.execute(sa.select(table.client, table.key).where(ours)).all()
    return {(client, key) for client, key in found} & set(map(_key, rows))


def _key(row: dict[str, Any]) -> Key:
    return row["client"], row["key"]


def _forget(connection: sa.Connection, keys: list[Key], moment: datetime) -> None:
    """Delete those of `keys` whose notification is gone, or that are too old."""
    table = idempotency_keys
    for mine in _by_client(keys):
        owner = sa.exists().where(notifications.c.id == table.c.notification_id)
        old = sa.and_(table.c.client != "", table.c.created_at <= moment - KEPT)
        connection.execute(sa.delete(table).where(mine, sa.or_(~owner, old)))


def free(connection: sa.Connection, keys: list[Key]) -> None:
    """Delete `keys`, just taken for refused requests, so that they can be used again."""
    for mine in _by_client(keys):
        connection.execute(sa.delete(idempotency_keys).where(mine))


def _known(connection: sa.Connection, keys: list[Key], moment: datetime) -> dict[Key, Known]:
    table = idempotency_keys
    kept = sa.or_(table.c.client == "", table.c.created_at > moment - KEPT)
    found: dict[Key, Known] = {}
    for mine in _by_client(keys):
        rows = connection.execute(
            sa.select(
                table.c.client,
                table.c.key,
                table.c.notification_id,
                table.c.body_hash,
                notifications.c.state,
                table.c.began,
            )
            .join(notifications, notifications.c.id == table.c.notification_id)
            .where(mine, kept)
        )
        found |= {
            (client, key): Known(id, body_hash, State(state), began)
            for client, key, id, body_hash, state, began in rows
        }
    return found


def _by_client(keys: Iterable[Key]) -> list[sa.ColumnElement[bool]]:
    """One condition per client, each of them one index lookup."""
    by_client: defaultdict[str, list[str]] = defaultdict(list)
    for client, key in keys:
        by_client[client].append(key)
    table = idempotency_keys
    return [sa.and_(table.c.client == client, table.c.key.in_(mine)) for client, mine in by_client.items()]


def move(connection: sa.Connection, moved: list[tuple[Key, UUID]]) -> None:
    """Point keys to the notification that their request was counted in."""
    if moved:
        table = idempotency_keys
        connection.execute(
            sa.update(table)
            .where(table.c.client == sa.bindparam("c"), table.c.key == sa.bindparam("k"))
            .values(notification_id=sa.bindparam("n"), began="grouped"),
            [{"c": client, "k": key, "n": id} for (client, key), id in moved],
        )
