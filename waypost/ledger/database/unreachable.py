"""Errors for a database that takes no connection or cannot hold a ledger; each says what to do."""

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

from waypost.system.outage import Outage

ADVICE = "start that server or make that database, or correct WAYPOST_DATABASE_URL"
# What a failing connection raises; the last, when none of several servers is of the kind that the URL names.
NOT_CONNECTED = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
)
NOT_ALLOWED = "42501"  # insufficient_privilege (PostgreSQL manual, appendix A)


class LedgerUnreachable(Outage, ConnectionError):
    """The ledger's database cannot be used. found: which one, without its password, and what
    happened. advice: what to do. The message has both."""

    def __init__(self, found: str, advice: str = ADVICE) -> None:
        super().__init__(f"{found}: {advice}")
        self.found = found
        self.advice = advice


class OtherKey(LedgerUnreachable):
    """This process's secret key is not the ledger's: the process treats the ledger as unavailable."""

    def __init__(self) -> None:
        super().__init__(
            "the secret key is not the key that this ledger's codes, links and webhooks are made with",
            "set WAYPOST_SECRET_KEY to the same text wherever Waypost runs and start this process again, or, "
            "if the key was changed on purpose, stop every process of Waypost and run "
            "`waypost db change-key`",
        )


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
            f"the ledger's database {_named(url)} has the encoding {encoding}, which cannot hold every name",
            "make a database by CREATE DATABASE waypost ENCODING 'UTF8' TEMPLATE template0, and name it in"
            " WAYPOST_DATABASE_URL",
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
            return "does not answer"
        case socket.gaierror():
            return "cannot be found (no such host is known)"
        case ssl.SSLError():
            return f"cannot be connected to by TLS ({error.reason or _first_line(error)})"
        case OSError(errno=errno.ECONNREFUSED):
            return "refuses the connection (nothing listens there)"
        case OSError(errno=int() as number):
            return f"cannot be connected to ({os.strerror(number)})"
        case asyncpg.ClientConfigurationError() | asyncpg.TargetServerAttributeNotMatched():
            return f"cannot be connected to ({_first_line(error)})"
        case _:
            return f"refuses the connection ({_first_line(error)})"


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
