"""Alive, ready and counted; and whatever goes wrong is told as a problem, without anything internal."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta

import asyncpg
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy.exc import TimeoutError as PoolTimeout
from support.ledger import rows, run_sql
from support.requests import order
from support.rings import ring

from waypost.config.settings import with_async_driver
from waypost.deployments.processes import prefect_server
from waypost.gateway.problems import KINDS
from waypost.gateway.readiness import Shared
from waypost.gateway.unavailable import ledger_away
from waypost.ledger import open_ledger
from waypost.ledger.database.ledger import CommitLost, FileLostWithCommit, leaving
from waypost.ledger.database.sqlite_file import FileReplaced

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9/api"


async def test_it_is_alive_for_anybody(site):
    answer = await site.bare().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_without_prefect_it_is_not_ready_and_still_accepts(site_with):
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        async with site_with() as site:
            answer = await site.bare().get("/readyz")
            body = {"type": "order-confirmation", **order("A-1")}
            sent = await (await site.client()).post("/v1/notifications", json=body)
    assert answer.status_code == 503
    found = answer.json()
    assert found.pop("detail").startswith("the Prefect API does not respond")
    assert found == {"status": "not ready", "ledger": True, "prefect": False}
    assert sent.status_code == 202


@pytest.fixture(scope="module")
async def prefect_api(tmp_path_factory):
    """The URL of a Prefect server's API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with prefect_server.running(tmp_path_factory.mktemp("prefect"), "127.0.0.1", port) as api:
        yield api


async def test_with_prefect_and_the_ledger_it_is_ready(site_with, prefect_api):
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        async with site_with() as site:
            answer = await site.bare().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "ledger": True, "prefect": True})


async def test_all_who_ask_within_a_second_share_an_answer():
    writes = []

    async def write():
        writes.append(1)
        return ""

    shared = Shared(write)
    assert await asyncio.gather(*(shared() for _ in range(20))) == [""] * 20
    assert await shared() == ""
    assert len(writes) == 1


async def test_without_a_ledger_it_says_so_and_accepts_nothing(site, shop):
    """Its tables are gone, as after a database was restored wrongly."""
    await run_sql(site.ledger, "ALTER TABLE api_keys RENAME TO away")
    await run_sql(site.ledger, "ALTER TABLE notifications RENAME TO gone")
    try:
        ready = await site.bare().get("/readyz")
        assert (ready.status_code, ready.json()["ledger"]) == (503, False)
        answer = await shop.post("/v1/notifications", json={"type": "order-confirmation", **order("A-1")})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert not re.search(r"api_keys|notifications|SELECT|sqlite|asyncpg", answer.json()["detail"])
    finally:
        await run_sql(site.ledger, "ALTER TABLE gone RENAME TO notifications")
        await run_sql(site.ledger, "ALTER TABLE away RENAME TO api_keys")


ID = "019b76da-a800-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/notifications", None),
        ("GET", f"/v1/notifications/{ID}", None),
        ("POST", f"/v1/notifications/{ID}/cancel", None),
        ("PUT", "/v1/recipients/ada", {"locale": "de"}),
        ("GET", "/v1/recipients/ada", None),
        ("DELETE", "/v1/recipients/ada", None),
        ("POST", "/v1/verifications/check", {"recipient": "ada", "code": "123456"}),
        ("POST", "/v1/webhooks", {"url": "https://shop.example/told"}),
        ("GET", "/v1/webhooks", None),
        ("DELETE", f"/v1/webhooks/{ID}", None),
    ],
)
async def test_whatever_needs_the_ledger_says_so_without_it(site, shop, method, path, body):
    tables = ("notifications", "recipients", "verifications", "webhooks")
    for table in tables:
        await run_sql(site.ledger, f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        answer = await shop.request(method, path, json=body)
    finally:
        for table in tables:
            await run_sql(site.ledger, f"ALTER TABLE {table}_away RENAME TO {table}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (asyncpg.TooManyConnectionsError("sorry"), "Nothing was done"),
        (asyncpg.CannotConnectNowError("starting"), "Nothing was done"),
        (ConnectionRefusedError(), "Nothing was done"),
        (PoolTimeout(), "Nothing was done"),
        (CommitLost(), "may have been done"),
        (FileLostWithCommit("the ledger's file was deleted"), "may have been done"),
        (FileReplaced("the ledger's file was deleted"), "Nothing was done; restart the gateway"),
    ],
)
def test_the_ledgers_own_troubles_are_told_apart(error, told):
    with suppress(type(error)), leaving():
        raise error
    assert told in ledger_away(error).detail
    assert ledger_away(ValueError()) is None


@asynccontextmanager
async def locked(ledger, database, table="api_keys"):
    """Held by somebody else."""
    if ledger.is_postgres:
        other = await asyncpg.connect(database)
        async with other.transaction():
            await other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
        await other.close()
    else:
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield


async def test_while_the_ledger_is_locked_it_is_not_ready_and_says_so_soon(site, database):
    async with locked(site.ledger, database):
        found = await asyncio.gather(*(site.bare().get("/readyz", timeout=8) for _ in range(3)))
    assert {one.json()["ledger"] for one in found} == {False}


async def test_what_waits_for_a_lock_is_told_so_soon_and_goes_in_afterwards(ledger, database, site_over):
    patient = open_ledger(with_async_driver(database), ring=ring, patience=timedelta(seconds=0.5))
    async with site_over(patient) as site:
        shop = await site.client()
        body = {"type": "order-confirmation", **order("A-1")}
        async with locked(ledger, database, "notifications"):
            if ledger.is_postgres:
                asked = [shop.post("/v1/notifications", json=body), shop.get("/v1/notifications")]
            else:  # whose readers wait for nobody
                asked = [shop.post("/v1/notifications", json=body)]
            async with asyncio.timeout(20):
                answers = await asyncio.gather(*asked)
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(503, "unavailable")}
        assert await rows(ledger) == []
        assert (await shop.post("/v1/notifications", json=body)).status_code == 202
    await patient.close()
    assert len(await rows(ledger)) == 1


async def test_metrics_count_by_route_and_name_nobody(site, shop):
    await shop.put("/v1/recipients/ada-lovelace", json={"email": "ada@a.example"})
    await shop.post("/v1/notifications", json={"type": "order-confirmation", **order("A-1")})
    await shop.get("/nowhere/ada-lovelace")
    answer = await shop.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    counted = r'waypost_gateway_requests_total\{method="POST",route="/v1/notifications",status="202"\} \d'
    assert re.search(counted, answer.text)
    assert "ada" not in answer.text
    assert (await site.bare().get("/metrics")).status_code == 401
    assert (await (await site.client("shop", "send")).get("/metrics")).status_code == 403


async def test_every_code_is_explained(site):
    for code, kind in KINDS.items():
        answer = await site.bare().get(f"/v1/problems/{code}")
        told = answer.json()
        assert (told["code"], told["status"], told["title"]) == (code, kind.status, kind.title)
        assert told["meaning"].endswith(".")
        assert told["advice"].endswith(".")
    assert (await site.bare().get("/v1/problems/no-such")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/types", 404),
        ("GET", "/V1/types", 404),
        ("GET", "/v1/types/", 404),
        ("GET", "/v1//types", 404),
        ("GET", "/v1/types%00", 404),
        ("GET", "/v1/%FF", 404),
        ("DELETE", "/v1/types", 405),
        ("OPTIONS", "/v1/notifications", 405),
        ("TRACE", "/healthz", 405),
        ("GET", "/v1/notifications/batch", 405),
        ("POST", "/v1/openapi.json", 405),
        ("GET", "/v1/types", 401),
    ],
)
async def test_every_error_is_a_problem(site, method, path, status):
    answer = await site.bare().request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "location" not in answer.headers
    if method != "HEAD":
        told = answer.json()
        assert (told["status"], told["title"]) == (status, KINDS[told["code"]].title)
    if status == 405:
        assert answer.headers["allow"]


async def talk(url: str, *lines: str, body: bytes = b"") -> bytes:
    """What is answered to these bytes before either side ends it."""
    reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    try:
        return await asyncio.wait_for(reader.read(65536), 60)
    except TimeoutError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "lines",
    [
        ["FOO /v1/types HTTP/1.1", "Host: a"],
        ["GET /v1/types HTTP/1.1", "Host: a", "Authorization: Bearer \xff\xfe"],
        ["GET /v1/types HTTP/1.1", "Host: a", "X-Long: " + "x" * 200_000],
        ["GET /" + "a" * 200_000 + " HTTP/1.1", "Host: a"],
        ["POST /v1/notifications HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"],
        ["POST /v1/notifications HTTP/1.1", "Host: a", "Content-Length: -1"],
        ["POST /v1/notifications HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"],
        ["GET http://elsewhere.example/v1/types HTTP/1.1", "Host: a"],
        ["\x00\x01\x02"],
    ],
)
async def test_what_is_hardly_http_harms_nobody(site, shop, lines):
    answer = await talk(site.url, *lines)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert (await shop.get("/v1/types")).status_code == 200


async def test_who_leaves_in_the_middle_harms_nobody_and_is_no_mistake_of_ours(site, shop, caplog):
    head = [
        "POST /v1/notifications HTTP/1.1", "Host: a", f"Authorization: {shop.headers['authorization']}",
        "Content-Type: application/json", "Content-Length: 100000",
    ]  # fmt: skip
    host, port = site.url.removeprefix("http://").split(":")
    before = await faults(shop)
    for _ in range(10):
        _, writer = await asyncio.open_connection(host, port)
        writer.write("\r\n".join([*head, "", '{"type": ']).encode())
        await writer.drain()
        writer.transport.abort()
    await asyncio.sleep(0.3)
    assert (await shop.get("/v1/types")).status_code == 200
    assert await rows(site.ledger) == []
    assert "mistake" not in caplog.text
    assert await faults(shop) == before


async def faults(shop):
    """How often posts were answered with 500, by any test of this process."""
    return re.findall(r'route="/v1/notifications",status="500"\} (.*)', (await shop.get("/metrics")).text)


async def test_nothing_that_was_sent_is_in_the_log(site, shop, caplog):
    caplog.set_level(logging.DEBUG, "waypost")
    caplog.set_level(logging.DEBUG, "uvicorn")
    secret = "canary-7f3a"
    body = {"type": "order-confirmation", **order("A-1", email=f"{secret}@a.example", name=secret)}
    await shop.post("/v1/notifications", json=body)
    await shop.post("/v1/notifications", json={**body, "recipient": {"email": secret}})
    await shop.put(f"/v1/recipients/{secret}", json={"email": secret})
    await shop.post("/v1/verifications/check", json={"recipient": secret, "code": secret})
    await site.bare(secret).get(f"/v1/recipients/{secret}?x={secret}")
    ours = [one for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]
    assert secret not in "\n".join(one.getMessage() for one in ours)


async def test_no_answer_repeats_what_was_wrong(shop):
    secret = "canary-7f3a"
    bad = {"type": "order-confirmation", **order("A-1", email=secret), "priority": secret}
    assert secret not in (await shop.post("/v1/notifications", json=bad)).text
    assert secret not in (await shop.put("/v1/recipients/ada", json={"timezone": secret})).text
    assert secret not in (await shop.get(f"/v1/notifications?after={secret}")).text
