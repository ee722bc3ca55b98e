"""Connecting to PostgreSQL: what a failing connection raises, and whether a database can hold a ledger."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from waypost.ledger.database.unreachable import LedgerUnreachable

# The last, when none of several servers is of the kind that the URL names.
NOT_CONNECTED = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
)
NOT_ALLOWED = "42501"  # insufficient_privilege (PostgreSQL manual, appendix A)


@contextmanager
def reached(url: sa.URL) -> Generator[None]:
    """Raises LedgerUnreachable when a connection to PostgreSQL at `url` fails, and when the role lacks a
    privilege. Other errors of statements stay SQLAlchemy's."""
    try:
        yield
    except NOT_CONNECTED as error:
        if isinstance(error, LedgerUnreachable):
            raise
        raise LedgerUnreachable(f"the ledger's database {_named(url)} {_met(error)}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        raise LedgerUnreachable(
            f"the ledger's database {_named(url)} refuses: {_first_line(error.orig)}",
            "run `waypost db upgrade` as the role that owns the tables; give other roles SELECT, INSERT,"
            " UPDATE and DELETE on all tables of that schema",
        ) from error


def check_fit(connection: sa.Connection, url: sa.URL, *, creates: bool) -> None:
    """Raises LedgerUnreachable where the database at `url` cannot hold a ledger. creates: whether tables are
    still to be made."""
    encoding = connection.scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise LedgerUnreachable(
            f"the ledger's database {_named(url)} has the encoding {encoding}, which cannot store every name",
            "create a database with CREATE DATABASE waypost ENCODING 'UTF8' TEMPLATE "
            "template0, and set WAYPOST_DATABASE_URL to it",
        )
    if not creates:
        return
    role, schema, allowed = connection.execute(_MAY_CREATE).one()
    if not allowed:
        raise LedgerUnreachable(
            f"the role {role} may not create tables in the ledger's database {_named(url)}",
            f'as its owner, run GRANT USAGE, CREATE ON SCHEMA {schema or "public"} TO "{role}"; then'
            " `waypost db upgrade`",
        )


_MAY_CREATE = sa.text(
    "SELECT current_user, current_schema(), has_schema_privilege(current_schema(), 'CREATE')"
)


def _named(url: sa.URL) -> str:
    """The database and its server. Not rendered from the whole URL, whose query may hold a password."""
    hosts = url.query.get("host", "")
    host = url.host or (hosts if isinstance(hosts, str) else ", ".join(hosts)) or "localhost"
    return f"{url.database or url.username or ''} at {host}:{url.port or 5432}".strip()


def _met(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "does not respond"
        case socket.gaierror():
            return "cannot be found (unknown host)"
        case ssl.SSLError():
            return f"cannot be reached over TLS ({error.reason or _first_line(error)})"
        case OSError(errno=errno.ECONNREFUSED):
            return "refuses the connection (nothing listens there)"
        case OSError(errno=int() as number):
            return f"cannot be reached ({os.strerror(number)})"
        case asyncpg.ClientConfigurationError() | asyncpg.TargetServerAttributeNotMatched():
            return f"cannot be reached ({_first_line(error)})"
        case _:
            return f"refuses the connection ({_first_line(error)})"


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
