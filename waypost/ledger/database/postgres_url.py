"""A PostgreSQL URL as libpq reads it (PostgreSQL manual, section 34.1.2), for SQLAlchemy and asyncpg."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

FILES = {"sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile"}
TLS = {"sslmode", "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"}
LOGIN = {"user", "password", "dbname", "service", "krbsrvname", "gsslib"}
# asyncpg reads these from its DSN.
UNDERSTOOD = FILES | TLS | LOGIN | {"target_session_attrs", "application_name", "options"}
WHERE = ("host", "port")  # SQLAlchemy reads these, for several servers too
# The values that describe what asyncpg does anyway. It does not support other values.
ONLY_AS = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("utf8", "utf-8", "auto"),
}
INSTEAD = {"channel_binding": "; sslmode=verify-full proves the server's identity instead"}


def read(url: str) -> tuple[sa.URL, dict[str, Any]]:
    """The URL of the database, and the other arguments for asyncpg.connect.

    Raises ValueError naming a parameter that is not supported, and never its value where it may be secret.
    """
    try:
        parsed = sa.make_url(_several_hosts(url))
    except (ValueError, ArgumentError):
        raise ValueError(
            "WAYPOST_DATABASE_URL cannot be read: in a password, percent-encode @ : / ? "
            "# and similar characters"
        ) from None
    query = {name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()}
    connect: dict[str, Any] = {}
    if (seconds := _number(query, "connect_timeout")) is not None:
        connect["timeout"] = float(max(seconds, 2))  # the minimum of libpq
    if (size := _number(query, "prepared_statement_cache_size")) is not None:  # SQLAlchemy's, for PgBouncer
        connect["prepared_statement_cache_size"] = size
    if mode := query.pop("ssl", None):  # asyncpg's name for it
        query.setdefault("sslmode", mode)
    if query.get("sslrootcert") == "system":
        query["sslrootcert"] = ssl.get_default_verify_paths().openssl_cafile
    for name in FILES & query.keys():
        if not os.access(query[name], os.R_OK):
            raise ValueError(f"WAYPOST_DATABASE_URL: {name} names {query[name]}, which cannot be read")
    if told := {name: value for name, value in query.items() if name in UNDERSTOOD}:
        connect["dsn"] = f"postgresql://?{urlencode(told)}"
    for name in query.keys() - UNDERSTOOD - set(WHERE):
        _refuse_unless_usual(name, query)
    return parsed.set(query={name: parsed.query[name] for name in WHERE if name in parsed.query}), connect


def _several_hosts(url: str) -> str:
    """`url` with a list of servers, as libpq writes it (`host1:5432,host2:5432`), in SQLAlchemy's form."""
    scheme, _, rest = url.partition("://")
    before, _, query = rest.partition("?")
    login, at, place = before.rpartition("@")
    hosts, slash, database = place.partition("/")
    if "," not in hosts:
        return url
    listed = urlencode([("host", host if ":" in host else f"{host}:5432") for host in hosts.split(",")])
    return f"{scheme}://{login}{at}{slash}{database}?{'&'.join(filter(None, (listed, query)))}"


def _number(query: dict[str, str], name: str) -> int | None:
    """Remove a number from `query` and return it; None without it."""
    text = query.pop(name, None)
    if text is not None and not text.isdecimal():
        raise ValueError(f"WAYPOST_DATABASE_URL: {name} must be a whole number")
    return None if text is None else int(text)


def _refuse_unless_usual(name: str, query: Mapping[str, str]) -> None:
    usual = ONLY_AS.get(name)
    if usual is None:
        raise ValueError(
            f"WAYPOST_DATABASE_URL: the parameter {name} is not supported; remove it. Supported are "
            f"{', '.join(sorted(UNDERSTOOD | ONLY_AS.keys() | {*WHERE, 'connect_timeout'}))}"
        )
    if query[name].lower() not in usual:
        raise ValueError(
            f"WAYPOST_DATABASE_URL: {name} can only be {' or '.join(usual)} with asyncpg; remove it"
            f"{INSTEAD.get(name, '')}"
        )
