"""Keys hold hashes in place of addresses

Personal data of before stays readable; it is sealed in the background (waypost/ledger/records/resealing.py).
"""

# ruff: noqa: S608 - the SQL is of this file's own words alone

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.tables import attempts, notifications, recipients, suppressions
from waypost.mail.address import url_of

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Keys that may be made from an address.
KEYS = (
    ("recipients", "key"),
    ("preferences", "recipient_key"),
    ("notifications", "recipient_key"),
    ("verifications", "recipient_key"),
    ("suppressions", "address"),
    ("soft_bounces", "address"),
)
CODES_ADDRESS = ("verifications", "address", "channel IN ('email', 'sms')")  # without mailto: or tel:
NAMED = "SELECT named {0} FROM notifications WHERE named IS NOT NULL"
ADDRESSES = (
    "SELECT email FROM recipients",
    "SELECT phone FROM recipients",
    "SELECT shown FROM suppressions",
    NAMED.format("->> 'email'"),
    NAMED.format("->> 'phone'"),
)
MADE_OF_ADDRESSES = "({0} LIKE 'mailto:%' OR {0} LIKE 'tel:%')"
AT_ONCE = 5000
# What is sealed in this version; later versions seal more.
SEALED = {
    recipients: ("email", "phone", "name"),
    notifications: ("data", "named"),
    attempts: ("words",),
    suppressions: ("shown", "evidence"),
}


def upgrade() -> None:
    op.add_column("suppressions", sa.Column("shown", sa.Text()))
    connection = op.get_bind()
    hashes: dict[str, str] = {}
    for table, column in KEYS:
        for key in _distinct(connection, table, column, MADE_OF_ADDRESSES.format(column)):
            hashes[key] = sealing.stored_key(connection, key)
    for address in _distinct(connection, *CODES_ADDRESS):
        hashes[address] = sealing.stored_key(connection, url_of(address))
    hashes = {key: made for key, made in hashes.items() if key != made}
    op.execute("UPDATE suppressions SET shown = substr(address, 5) WHERE address LIKE 'tel:%'")
    op.execute("UPDATE suppressions SET shown = substr(address, 8) WHERE address LIKE 'mailto:%'")
    _rename(connection, hashes)


def downgrade() -> None:
    """Hashes become addresses again where the address is known. What cannot be found by its address any more,
    the count of soft bounces and the codes that were sent, is deleted."""
    connection = op.get_bind()
    for table in SEALED:
        _open(connection, table)
    found = {address for wanted in ADDRESSES for address in connection.scalars(sa.text(wanted))}
    known = {sealing.stored_key(connection, url_of(one)): url_of(one) for one in found if one}
    codes = {key: url.partition(":")[2] for key, url in known.items()}
    _rename(connection, codes, (CODES_ADDRESS,))
    _rename(connection, known)
    for table in ("verifications", "soft_bounces", "suppressions"):
        op.execute(f"DELETE FROM {table} WHERE address LIKE 'mailto:#%' OR address LIKE 'tel:#%'")
    op.drop_column("suppressions", "shown")


def _distinct(connection: sa.Connection, table: str, column: str, where: str) -> Iterator[str]:
    wanted = sa.text(f"SELECT DISTINCT {column} FROM {table} WHERE {where}")
    with tolerant.forgiving(connection):
        yield from (key for key in connection.scalars(wanted).all() if isinstance(key, str))


def _rename(
    connection: sa.Connection,
    keys: Mapping[str, str],
    places: tuple[tuple[str, ...], ...] = (*KEYS, CODES_ADDRESS),
) -> None:
    """Replace keys wherever they stand, each table in one statement."""
    if not keys:
        return
    with _listed(connection, keys):
        for table, column, *_ in places:
            new = f"(SELECT new FROM waypost_renamed WHERE old = {table}.{column})"
            which = f"{column} IN (SELECT old FROM waypost_renamed)"
            op.execute(f"UPDATE {table} SET {column} = {new} WHERE {which}")


@contextmanager
def _listed(connection: sa.Connection, keys: Mapping[str, str]) -> Generator[None]:
    table = op.create_table(
        "waypost_renamed", sa.Column("old", sa.Text(), primary_key=True), sa.Column("new", sa.Text())
    )
    rows = [{"old": old, "new": new} for old, new in keys.items()]
    for at in range(0, len(rows), AT_ONCE):
        connection.execute(sa.insert(table), rows[at : at + AT_ONCE])
    yield
    op.drop_table("waypost_renamed")


def _open(connection: sa.Connection, table: sa.Table) -> None:
    """Store the personal data of a table in the clear."""
    key, names = list(table.primary_key), SEALED[table]
    columns = [table.c[name] for name in names]
    has = sa.or_(*(sa.cast(column, sa.Text).like("%sealed:1:%") for column in columns))
    sealed = sealing.of(connection)
    for row in connection.execute(sa.select(*key, *columns).where(has)).all():
        place = row[: len(key)]
        values = {
            name: sealed.opened(table, place, name, value)
            for name, value in zip(names, row[len(key) :], strict=True)
        }
        is_it = (column == value for column, value in zip(key, place, strict=True))
        connection.execute(sa.update(table).where(*is_it).values(values))
