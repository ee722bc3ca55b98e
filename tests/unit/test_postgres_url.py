"""A PostgreSQL URL as hosting providers hand it out."""

from __future__ import annotations

import pytest

from waypost.config.settings import with_async_driver
from waypost.ledger import open_ledger
from waypost.ledger.database.postgres_url import read

HERE = "postgresql://u:hunter2@db/mails"


def connecting(query):
    return read(with_async_driver(f"{HERE}{query}"))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", {}),
        ("?sslmode=require", {"dsn": "postgresql://?sslmode=require"}),
        ("?ssl=require", {"dsn": "postgresql://?sslmode=require"}),
        ("?sslmode=require&channel_binding=prefer", {"dsn": "postgresql://?sslmode=require"}),
        ("?connect_timeout=10", {"timeout": 10.0}),
        ("?connect_timeout=1", {"timeout": 2.0}),
        ("?application_name=shop%20mail", {"dsn": "postgresql://?application_name=shop+mail"}),
        ("?options=-c%20work_mem%3D8MB", {"dsn": "postgresql://?options=-c+work_mem%3D8MB"}),
        (
            "?sslrootcert=/dev/null&sslcert=/dev/null&sslkey=/dev/null",
            {"dsn": "postgresql://?sslrootcert=%2Fdev%2Fnull&sslcert=%2Fdev%2Fnull&sslkey=%2Fdev%2Fnull"},
        ),
        ("?target_session_attrs=read-write", {"dsn": "postgresql://?target_session_attrs=read-write"}),
        ("?prepared_statement_cache_size=0", {"prepared_statement_cache_size": 0}),
        ("?client_encoding=UTF8&gssencmode=disable", {}),
    ],
)
def test_what_libpq_knows_is_handed_to_the_driver(query, named):
    where, told = connecting(query)
    assert told == named
    assert where.render_as_string(hide_password=False) == "postgresql+asyncpg://u:hunter2@db/mails"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?channel_binding=require", "channel_binding can only be disable or prefer .* sslmode=verify-full"),
        ("?keepalives_idle=3", "the parameter keepalives_idle is not supported; remove it"),
        ("?sslmod=require", "the parameter sslmod is not supported; remove it. Supported are .* sslmode"),
        ("?connect_timeout=soon", "connect_timeout must be a whole number"),
        ("?sslrootcert=/no/such/ca.pem", "sslrootcert names /no/such/ca.pem, which cannot be read"),
        ("?gssencmode=require", "gssencmode can only be disable or prefer"),
        ("?client_encoding=LATIN1", "client_encoding can only be utf8"),
    ],
)
def test_what_the_driver_cannot_do_is_named_in_a_sentence(query, said):
    with pytest.raises(ValueError, match=f"^WAYPOST_DATABASE_URL: .*{said}") as refused:
        open_ledger(with_async_driver(f"{HERE}{query}"))
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("u:p@a:5433,b:5434/mails", ("a:5433", "b:5434")),
        ("u:p@a,b/mails", ("a:5432", "b:5432")),
        ("u:p,q@a,b/mails?sslmode=require", ("a:5432", "b:5432")),
    ],
)
def test_several_servers_are_named_as_libpq_names_them(address, hosts):
    where, _ = read(f"postgresql+asyncpg://{address}")
    assert (where.query["host"], where.database) == (hosts, "mails")


def test_a_password_that_is_not_encoded_is_told_how():
    with pytest.raises(ValueError, match="percent-encode") as refused:
        read("postgresql+asyncpg://u:hunter2:@@x:y/z")
    assert "hunter2" not in str(refused.value)
