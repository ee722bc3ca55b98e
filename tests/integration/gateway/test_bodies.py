"""Bodies of more than they may have: told so, and nobody reads on for ever."""

from __future__ import annotations

import asyncio

import pytest
from support.requests import order

from waypost.gateway.http import body

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
PIECE = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


async def opened(site, shop, *headers):
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    head = [
        "POST /v1/notifications HTTP/1.1", "Host: a", "Content-Type: application/json",
        f"Authorization: {shop.headers['authorization']}", *headers,
    ]  # fmt: skip
    writer.write("\r\n".join([*head, "", ""]).encode())
    return reader, writer


async def test_in_pieces_it_is_told_at_its_end_and_the_connection_goes_on(site, shop):
    reader, writer = await opened(site, shop, "Transfer-Encoding: chunked")
    writer.write(PIECE * (body.ONE // 0x10000 + 1) + b"0\r\n\r\n")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), 60)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"HTTP/1.1 200 " in said
    writer.close()


async def test_one_without_an_end_is_told_and_cut_off(site, shop):
    _, writer = await opened(site, shop, "Transfer-Encoding: chunked")
    try:
        async with asyncio.timeout(60):
            while True:
                writer.write(PIECE)
                await writer.drain()
    except ConnectionError:
        pass
    assert (
        await shop.post("/v1/notifications", json={"type": "order-confirmation", **order("A-1")})
    ).status_code == 202


async def test_a_length_beyond_reason_is_told_before_any_of_it(site, shop):
    reader, writer = await opened(site, shop, f"Content-Length: {10**12}")
    said = await asyncio.wait_for(reader.read(), 60)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in said
    writer.close()


async def test_a_post_without_a_body_is_malformed(site, shop):
    reader, writer = await opened(site, shop, "Content-Length: 0", "Connection: close")
    said = await asyncio.wait_for(reader.read(), 60)
    assert said.startswith(b"HTTP/1.1 400")
    assert b"the body is empty; send JSON" in said
    writer.close()
