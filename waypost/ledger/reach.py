"""A database that takes no connection, told in a sentence."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import sqlalchemy as sa

ADVICE = "start that server or make that database, or mend WAYPOST_DATABASE_URL"


class LedgerUnreachable(ConnectionError):
    """The ledger's database takes no connection. `found` says which, without its password, and what
    happened; the whole says what to do too."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}: {ADVICE}")
        self.found = found


@contextmanager
def reached(url: sa.URL) -> Generator[None]:
    """Raises LedgerUnreachable for what a connection to PostgreSQL at `url` meets. What a statement meets
    is SQLAlchemy's to wrap, and goes on as it is."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LedgerUnreachable(f"the ledger's database {_named(url)} {_met(error)}") from error


def _named(url: sa.URL) -> str:
    """Never rendered from the whole URL, whose query may hold a password too."""
    hosts = url.query.get("host", "")
    host = url.host or (hosts if isinstance(hosts, str) else ", ".join(hosts)) or "localhost"
    return f"{url.database or url.username or ''} at {host}:{url.port or 5432}".strip()


def _met(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "does not answer"
        case socket.gaierror():
            return "cannot be found (no such host is known)"
        case OSError(errno=errno.ECONNREFUSED):
            return "refuses the connection (nothing listens there)"
        case OSError(errno=int() as number):
            return f"cannot be connected to ({os.strerror(number)})"
        case _:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            return f"refuses the connection ({said[:200]})"
