"""What the embedded Prefect server is told, and its database file."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
import sqlalchemy as sa

from waypost.deployments.processes import prefect_server
from waypost.deployments.processes.prefect_server import database_url, environment, rename_former


@pytest.fixture(autouse=True)
def nothing_of_prefect(monkeypatch):
    monkeypatch.delenv("PREFECT_HOME", raising=False)


def told(tmp_path):
    return environment(tmp_path, "127.0.0.1", 4200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_SERVER_API_AUTH_STRING", "admin:secret"),
        ("PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED", "true"),
        ("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "https://prefect.shop.example"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "86400"),
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://db/prefect"),
        ("PREFECT_UI_API_URL", "https://prefect.shop.example/api"),
        ("PREFECT_LOGGING_SERVER_LEVEL", "DEBUG"),
        ("PREFECT_API_LOG_RETRYABLE_ERRORS", "true"),
    ],
)
def test_the_users_settings_for_a_prefect_server_reach_it(monkeypatch, tmp_path, name, value):
    monkeypatch.setenv(name, value)
    assert told(tmp_path)[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_HOME", "/elsewhere"),
        ("PREFECT_API_URL", "http://elsewhere/api"),
        ("PREFECT_API_KEY", "secret"),
        ("PREFECT_SERVER_API_HOST", "0.0.0.0"),
        ("PREFECT_SERVER_API_PORT", "9"),
    ],
)
def test_where_it_listens_and_lives_is_not_theirs_to_set(monkeypatch, tmp_path, name, value):
    monkeypatch.setenv(name, value)
    assert told(tmp_path).get(name) != value


def test_pages_of_its_own_origins_alone_may_use_it(tmp_path):
    assert told(tmp_path)["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == (
        "http://127.0.0.1:4200,http://localhost:4200"
    )


@pytest.mark.parametrize("folder", ["home", "h?a=1", "a #b", "100%41", "ä ö"])
def test_its_file_lies_in_its_home_whatever_that_is_called(tmp_path, folder):
    home = tmp_path / folder
    home.mkdir()
    engine = sa.create_engine(database_url(home).replace("+aiosqlite", ""))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE run (id)")
    engine.dispose()
    assert [path.name for path in home.iterdir()] == ["prefect.db"]
    assert list(tmp_path.iterdir()) == [home]


def a_file_of_before(home):
    """As a server that was killed leaves it: its last rows are in the log beside it."""
    with sqlite3.connect(home / "living.db") as living:
        living.execute("PRAGMA journal_mode=WAL")
        living.execute("CREATE TABLE run (name)")
        living.execute("INSERT INTO run VALUES ('kept')")
        living.commit()
        for ending in ("", "-wal", "-shm"):
            shutil.copy(home / f"living.db{ending}", home / f"{prefect_server.FORMER}{ending}")


def runs(home):
    with sqlite3.connect(home / "prefect.db") as found:
        return [name for (name,) in found.execute("SELECT name FROM run")]


def test_a_home_of_before_keeps_its_runs(tmp_path):
    a_file_of_before(tmp_path)
    rename_former(tmp_path)
    assert runs(tmp_path) == ["kept"]
    assert not list(tmp_path.glob(f"{prefect_server.FORMER}*"))


def test_a_move_that_was_interrupted_is_finished(tmp_path):
    a_file_of_before(tmp_path)
    (tmp_path / f"{prefect_server.FORMER}-wal").rename(tmp_path / "prefect.db-wal")
    rename_former(tmp_path)
    assert runs(tmp_path) == ["kept"]


def test_a_file_of_today_is_never_replaced(tmp_path):
    a_file_of_before(tmp_path)
    rename_former(tmp_path)
    with sqlite3.connect(tmp_path / "prefect.db") as found:
        found.execute("INSERT INTO run VALUES ('new')")
    (tmp_path / prefect_server.FORMER).write_bytes(b"left over")
    rename_former(tmp_path)
    assert runs(tmp_path) == ["kept", "new"]
