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
import pytest
from asks import order
from ledgers import run_sql

from deployments.checkup import examine
from waypost.ledger import open_ledger
from waypost.settings import Settings, with_async_driver

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
    async with asyncio.timeout(15):
        post = await shop.post("/v1/notifications", json=BODY)
        ready = await site.bare().get("/readyz")
    assert (post.status_code, post.json()["code"]) == (503, "unavailable")
    assert (ready.status_code, ready.json()["ledger"]) == (503, False)
    assert why in ready.json()["detail"]


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
        await nothing_is_accepted(site, shop, why)


ROLE = "waypost_without_rights"


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
            f"REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM {ROLE}",
            "the database role may not write to the ledger's tables: as their owner, GRANT",
        ),
        (f"ALTER ROLE {ROLE} SET default_transaction_read_only = on", "the ledger is read-only"),
    ],
)
async def test_a_role_that_may_not_write(site_over, owner, spoil, why):
    connection, url = owner
    async with open_on(site_over, with_async_driver(url)) as (site, shop):
        await connection.execute(spoil)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", ROLE
        )
        await nothing_is_accepted(site, shop, why)
        await doctor_says(url, why)
