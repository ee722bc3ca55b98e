"""The Prefect API read without Prefect says what Prefect's own client says."""

from __future__ import annotations

import asyncio

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from uuid_utils.compat import uuid7

from waypost.deployments import paused_lanes, plain_api

pytestmark = pytest.mark.anyio


@pytest.fixture
def named(server, monkeypatch, tmp_path):
    """The environment names the server, and nothing else does."""
    for name in ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", server.api)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


async def found(pool):
    return await asyncio.to_thread(plain_api.stopped_lanes, pool, 10.0)


async def test_it_finds_what_prefects_client_finds(named, client):
    pool = f"of two words {uuid7().hex}"
    await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    queue = await client.create_work_queue("bulk", work_pool_name=pool)
    assert await found(pool) == {}
    await client.update_work_queue(queue.id, is_paused=True)
    assert await found(pool) == await paused_lanes.look(client, pool)
    assert [*await found(pool)] == ["bulk"]


async def test_a_pool_that_is_not_there_stops_nothing(named):
    assert await found("nothing of that name") == {}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "http://127.0.0.1:99999/api", ""])
async def test_without_an_answer_nothing_is_stopped(named, url):
    named.setenv("PREFECT_API_URL", url)
    assert await found("waypost") == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_API_URL", "http://ada:secret@127.0.0.1:1/api"),
        ("PREFECT_API_SSL_CERT_FILE", "/etc/ssl/own.pem"),
        ("HTTP_PROXY", "http://127.0.0.1:2"),
    ],
)
async def test_what_only_prefects_client_can_do_is_left_to_it(named, name, value):
    named.delenv("NO_PROXY", raising=False)
    named.delenv("no_proxy", raising=False)
    named.setenv(name, value)
    with pytest.raises(plain_api.NeedsPrefect):
        await found("waypost")


async def test_an_api_that_a_profile_names_is_left_to_prefect(named, tmp_path):
    named.delenv("PREFECT_API_URL")
    (tmp_path / "profiles.toml").write_text(
        '[profiles.own]\nPREFECT_API_URL = "http://prefect.example/api"\n'
    )
    with pytest.raises(plain_api.NeedsPrefect):
        await found("waypost")
