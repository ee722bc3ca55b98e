"""Each way in which a ledger takes nothing any more: no post is accepted, and gateway and doctor say why."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from sqlalchemy import event
from support.ledger import run_sql
from support.processes import waypost
from support.requests import order
from support.rings import DATA_KEYS

from waypost.config.settings import Settings, with_async_driver
from waypost.deployments.doctor.checks import examine
from waypost.deployments.doctor.gateway import SEE_UP, answering, ready_finding
from waypost.deployments.doctor.gateway_readiness import ledger_trouble
from waypost.ledger import open_ledger
from waypost.ledger.records import installation

pytestmark = pytest.mark.anyio

BODY = {"type": "order-confirmation", **order("A-1")}


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, which only root can make."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        for size in (65536, 1):
            try:
                while filler.write(b"x" * size):
                    pass
            except OSError:
                continue


@asynccontextmanager
async def open_on(site_over, url):
    """A gateway over the ledger at `url`, and a client of it."""
    ledger = open_ledger(url, patience=timedelta(seconds=0.5))
    async with site_over(ledger) as site:
        yield site, await site.client()
    await ledger.close()


async def nothing_is_accepted(site, shop, why):
    async with asyncio.timeout(60):
        post = await shop.post("/v1/notifications", json=BODY)
        ready = await site.bare().get("/readyz")
    assert (post.status_code, post.json()["code"]) == (503, "unavailable")
    assert (ready.status_code, ready.json()["ledger"]) == (503, False)
    assert why in ready.json()["detail"]


async def test_a_key_that_was_changed_meanwhile(site_over, empty_ledger, tmp_path):
    url = f"sqlite:///{shutil.copy(empty_ledger, tmp_path / 'ledger.db')}"
    async with open_on(site_over, url) as (site, shop):
        await installation.change_key(site.ledger, b"another key of sixteen")
        ready = await site.bare().get("/readyz")
        check = {"recipient": "ada", "code": "123456"}
        judged = await shop.post("/v1/verifications/check", json=check)
    assert (ready.status_code, judged.status_code) == (503, 503)
    for answer in (ready, judged):
        assert "the secret key is not the key" in answer.json()["detail"]


async def test_the_key_is_not_changed_under_an_idle_gateway_of_another_home(site, database, tmp_path):
    await installation.check_key(site.ledger, site.secret_key)
    settings = {
        "WAYPOST_DATABASE_URL": database,
        "WAYPOST_DATA_KEYS": DATA_KEYS,
        "WAYPOST_SECRET_KEY": "another key of sixteen",
    }
    arguments = tmp_path / "other", "db", "change-key", "--yes"
    refused = await asyncio.to_thread(waypost, *arguments, **settings)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "the ledger is in use at" in refused.stderr
    assert await installation.is_key(site.ledger, site.secret_key)
    assert (await site.bare().get("/readyz")).json()["ledger"] is True


async def doctor_says(url, why):
    # Doctor looks at the providers and at Prefect too; only its finding of the ledger matters here.
    found = await examine(Settings(database_url=url, secret_key="a key of sixteen or more"))
    [ledger] = [one for one in found if one.what == "ledger"]
    assert not ledger.ok
    assert why in f"{ledger.found}: {ledger.advice}"


async def test_a_disk_that_is_full(site_over, empty_ledger, disk):
    url, why = (
        f"sqlite:///{shutil.copy(empty_ledger, disk / 'ledger.db')}",
        "the disk of the ledger is full: free",
    )
    async with open_on(site_over, url) as (site, shop):
        fill(disk)
        await nothing_is_accepted(site, shop, why)
        await doctor_says(url, why)


async def test_a_disk_that_is_read_only(site_over, empty_ledger, disk):
    url, why = (
        f"sqlite:///{shutil.copy(empty_ledger, disk / 'ledger.db')}",
        "the ledger is read-only: make its",
    )
    async with open_on(site_over, url) as (_, shop):
        key = shop.headers["authorization"]
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    async with site_over(open_ledger(url)) as site:
        shop = site.bare()
        shop.headers["authorization"] = key
        await nothing_is_accepted(site, shop, why)
        await doctor_says(url, why)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.unlink(), "the ledger's file was deleted"),
        (lambda file: os.replace(shutil.copy(file, f"{file}.other"), file), "the ledger's file was replaced"),
        (lambda file: os.truncate(file, 0), "damaged"),
    ],
)
async def test_a_file_that_is_gone_replaced_or_emptied(site_over, empty_ledger, tmp_path, spoil, why):
    file = Path(shutil.copy(empty_ledger, tmp_path / "ledger.db"))
    async with open_on(site_over, f"sqlite:///{file}") as (site, shop):
        await run_sql(site.ledger, "PRAGMA user_version = 1")
        spoil(file)
        for wait in (0.0, 0.6):  # with the keys as they were read before, then with none
            await asyncio.sleep(wait)
            post = await shop.post("/v1/notifications", json=BODY)
            assert "restart the gateway" in post.json()["detail"]
            assert post.headers["retry-after"] == "60", "no retry helps before a person does"
        await nothing_is_accepted(site, shop, why)
        assert why in await ledger_trouble(site.url)
        said = await answering(site.url)
        assert f"{site.url} is not ready: the ledger's file" in said.found
        assert said.advice.startswith("stop all Waypost processes")


async def test_a_log_that_is_cut_with_the_commit_of_a_post(site_over, empty_ledger, tmp_path):
    file = Path(shutil.copy(empty_ledger, tmp_path / "ledger.db"))

    def cut(connection):
        if connection.get_execution_options()["waypost_writes"]:
            os.truncate(f"{file}-wal", 100)

    async with open_on(site_over, f"sqlite:///{file}") as (site, shop):
        event.listen(site.ledger.engine, "commit", cut)
        post = await shop.post("/v1/notifications", json=BODY)
        assert (post.status_code, post.headers["retry-after"]) == (503, "60")
        assert "the request may have been done. Retry with the same idempotency key" in post.json()["detail"]
        await nothing_is_accepted(site, shop, "write-ahead log (-wal) was overwritten")


@pytest.mark.parametrize("answer", [httpx.Response(502, text="<html>"), httpx.Response(503, json=["no"])])
def test_of_a_gateway_that_does_not_say_what_is_wrong_doctor_has_advice_of_its_own(answer):
    said = ready_finding("http://gateway", answer)
    assert said.found == f"http://gateway is not ready: HTTP {answer.status_code}"
    assert said.advice == SEE_UP


ROLE = f"waypost_without_rights_{os.getpid()}"  # roles are of the server, which other runs use too


@pytest.fixture
async def owner(postgres_url):
    """The owner's connection, and a URL for a role that may do all with the tables until it may not."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"DROP ROLE IF EXISTS {ROLE}")
    await connection.execute(f"CREATE ROLE {ROLE} LOGIN")
    await connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
    await connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}")
    at = urlsplit(postgres_url)
    yield connection, at._replace(netloc=f"{ROLE}@{at.hostname}:{at.port}").geturl()
    await connection.execute(f"DROP OWNED BY {ROLE}")
    await connection.execute(f"DROP ROLE {ROLE}")
    await connection.close()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            "REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM {role}",
            "the database role may not write to the ledger's tables: as their owner, GRANT",
        ),
        ("ALTER ROLE {role} SET default_transaction_read_only = on", "the ledger is read-only"),
    ],
)
async def test_a_role_that_may_not_write(site_over, owner, spoil, why):
    connection, url = owner
    async with open_on(site_over, with_async_driver(url)) as (site, shop):
        await connection.execute(spoil.format(role=ROLE))
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", ROLE
        )
        await nothing_is_accepted(site, shop, why)
        await doctor_says(url, why)
