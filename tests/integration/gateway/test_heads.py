"""A request whose head does not end, and the rest that share the gateway with it."""

from __future__ import annotations

import asyncio
import json

import pytest

pytestmark = pytest.mark.anyio


async def connection(site):
    return await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))


@pytest.mark.parametrize("begin", [b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ", b"GET /healthz?"])
async def test_a_head_that_does_not_end_is_ended(site, begin):
    reader, writer = await connection(site)
    writer.write(begin)
    for _ in range(400):
        writer.write(b"x" * 1000)
        await asyncio.sleep(0.0005)
    head, _, body = (await reader.read(4000)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["status"] == 431
    writer.close()
    assert (await site.bare().get("/healthz")).status_code == 200


async def test_many_heads_over_one_connection_are_not_one_long_one(site):
    reader, writer = await connection(site)
    padding = b"X-A: " + b"x" * 8000
    for _ in range(30):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + padding)
        await asyncio.sleep(0.01)
        writer.write(b"\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
