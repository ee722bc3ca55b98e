"""A request whose head does not end, and the rest that share the gateway with it."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from support.ledger import rows
from support.requests import alert, order

from waypost.gateway.auth import key_format as keys
from waypost.gateway.memory_budget import MOST, SHARE
from waypost.gateway.server.connection import LONGEST, MOST_OWED, Connection
from waypost.ledger.records import api_keys

pytestmark = pytest.mark.anyio


async def connection(site):
    return await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))


@pytest.mark.parametrize("begin", [b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ", b"GET /healthz?"])
async def test_a_head_that_does_not_end_is_ended(site, begin):
    reader, writer = await connection(site)
    writer.write(begin)
    with contextlib.suppress(ConnectionError):  # on a slow machine the gateway has closed by then
        for _ in range(400):
            writer.write(b"x" * 1000)
            await asyncio.sleep(0.0005)
    head, _, body = (await reader.read(4000)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["status"] == 431
    writer.close()
    assert (await site.bare().get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (b"/healthz?" + b"a" * (LONGEST - 10), 200),
        (b"/healthz?" + b"a" * (LONGEST - 9), 431),
        (b"/\xff", 400),
    ],
)
async def test_an_address_that_the_parser_does_not_take_is_refused_in_its_turn(site, address, status):
    reader, writer = await connection(site)
    good, end = (
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    writer.write(good)
    assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET " + address + end)
    assert f"HTTP/1.1 {status} ".encode() in await all_said(reader)
    writer.close()


async def test_many_heads_over_one_connection_are_not_one_long_one(site):
    reader, writer = await connection(site)
    padding = b"X-A: " + b"x" * 8000
    for _ in range(30):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + padding)
        await asyncio.sleep(0.01)
        writer.write(b"\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()


def asking(id, key, *headers):
    body = json.dumps({"type": "order-confirmation", **order(id)}).encode()
    head = [
        "POST /v1/notifications HTTP/1.1", "Host: a", f"Authorization: {key}",
        "Content-Type: application/json", f"Content-Length: {len(body)}", *headers,
    ]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode() + body


async def all_said(reader):
    async with asyncio.timeout(60):
        return await reader.read()


@pytest.mark.parametrize("after", [b"x", b"garbage\r\n\r\n", b"\0", b"POST / HTTP/9.7\r\nA: b\r\n\r\n"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_was_accepted_is_told_so_whatever_comes_behind_it(site, shop, after, at_once):
    reader, writer = await connection(site)
    sent = asking("A-1", shop.headers["authorization"])
    if at_once:
        writer.write(sent + after)
    else:
        writer.write(sent)
        await asyncio.sleep(0.002)
        writer.write(after)
    said = await all_said(reader)
    writer.close()
    assert said.startswith(b"HTTP/1.1 202 ")
    assert said.count(b"HTTP/1.1 202 ") == len(await rows(site.ledger)) == 1


async def test_a_head_that_does_not_end_takes_no_answer_from_who_came_before(site, shop):
    reader, writer = await connection(site)
    writer.write(asking("A-1", shop.headers["authorization"]) + b"GET /healthz?")
    for _ in range(100):
        writer.write(b"x" * 1000)
        await asyncio.sleep(0)
    said = await all_said(reader)
    writer.close()
    assert said.startswith(b"HTTP/1.1 202 ")


async def test_a_broken_body_is_told_and_nothing_of_it_is_kept(site, shop):
    reader, writer = await connection(site)
    head = asking("A-1", shop.headers["authorization"]).partition(b"Content-Length")[0]
    writer.write(head + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"typ\r\nnonsense\r\n')
    said = await all_said(reader)
    writer.close()
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert said.count(b"HTTP/1.1 4") == 1
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "malformed"
    assert await rows(site.ledger) == []


async def test_trailers_are_no_headers_and_have_an_end(site, shop):
    reader, writer = await connection(site)
    body = json.dumps({"type": "order-confirmation", **order("A-1")}).encode()
    head = b"POST /v1/notifications HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    key = shop.headers["authorization"].encode()
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"Authorization: %b\r\n\r\n" % key)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
    writer.close()
    reader, writer = await connection(site)
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            while not reader.at_eof():
                writer.write(b"a: b\r\n" * 1000)
                await writer.drain()
                await asyncio.sleep(0.001)
    writer.close()
    assert await rows(site.ledger) == []


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"", b""),
        (b"GET /healthz HT", b"HTTP/1.1 408 Request Timeout\r\n"),
        (b"POST /v1/verifications/check HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 4"),
    ],
)
async def test_who_does_not_come_to_an_end_is_not_waited_for(site, monkeypatch, begin, told):
    monkeypatch.setattr("waypost.gateway.server.connection.Connection.request_seconds", 0.5)
    reader, writer = await connection(site)
    writer.write(begin)
    said = await all_said(reader)
    writer.close()
    assert said.startswith(told)
    assert bool(said) is bool(told)


async def test_a_client_that_sends_very_many_requests_together_is_answered_some_and_ended(site):
    reader, writer = await connection(site)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * (MOST_OWED + 40))
    assert (await all_said(reader)).count(b"HTTP/1.1 200 OK") == MOST_OWED
    writer.close()


async def test_who_takes_no_answers_is_left(site, monkeypatch):
    monkeypatch.setattr("waypost.gateway.server.connection.MOST_OWED", 1000)
    monkeypatch.setattr("waypost.gateway.server.connection.Connection.answer_seconds", 0.5)
    reader, writer = await connection(site)
    left = asyncio.Event()
    lost = Connection.connection_lost
    monkeypatch.setattr(Connection, "connection_lost", lambda self, exc: (left.set(), lost(self, exc)))
    reader._transport.pause_reading()
    times = 300
    writer.write(b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * times)
    async with asyncio.timeout(
        60
    ):  # a slow machine takes seconds to write so much that the client is waited for
        await left.wait()
    reader._transport.resume_reading()
    said = b""
    with contextlib.suppress(ConnectionError):
        said = await all_said(reader)
    writer.close()
    assert said.count(b"HTTP/1.1 200 OK") < times
    assert (await site.bare().get("/healthz")).status_code == 200


async def test_who_takes_answers_slowly_gets_them_all(site, monkeypatch):
    monkeypatch.setattr("waypost.gateway.server.connection.Connection.answer_seconds", 1.0)
    reader, writer = await connection(site)
    writer.write(b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 60)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    said = bytearray()
    while part := await reader.read(65536):
        said += part
        await asyncio.sleep(0.02)
    writer.close()
    assert said.count(b"HTTP/1.1 200 OK") == 61


async def test_one_connection_too_many_is_closed_and_the_others_stay(site, monkeypatch, caplog):
    monkeypatch.setattr("waypost.gateway.server.connection.Connection.most", lambda _: 3)
    monkeypatch.setattr("waypost.gateway.server.connection.TOLD_EVERY_SECONDS", 0.0)
    open_ones = [await connection(site) for _ in range(3)]
    await asyncio.sleep(0.1)
    reader, writer = await connection(site)
    with contextlib.suppress(ConnectionError):
        assert await all_said(reader) == b""
    writer.close()
    assert "connection limit reached" in caplog.text
    for reader, writer in open_ones:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await all_said(reader)).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    assert (await site.bare().get("/healthz")).status_code == 200


async def test_a_key_that_is_revoked_while_its_body_comes_opens_nothing(site):
    key = await site.key()
    reader, writer = await connection(site)
    sent = asking("A-1", f"Bearer {key}")
    writer.write(sent[:-20])
    await asyncio.sleep(0.3)
    await api_keys.end(site.ledger, keys.parse_key(key)[0])
    await asyncio.sleep(0.7)
    writer.write(sent[-20:])
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
    writer.close()
    assert await rows(site.ledger) == []


async def test_a_key_that_is_revoked_while_its_request_waits_for_room_opens_nothing(site):
    key = await site.key()
    shop = site.bare(key)
    async with site.room.of("other", SHARE), site.room.of("another", MOST - SHARE):
        posting = asyncio.create_task(shop.post("/v1/notifications", json={"type": "alert", **alert()}))
        while not site.room.waiting:  # the key was looked at before
            await asyncio.sleep(0.01)
        await api_keys.end(site.ledger, keys.parse_key(key)[0])
        await asyncio.sleep(0.7)
        assert not posting.done()
    assert (await posting).status_code == 401
    assert await rows(site.ledger) == []


async def test_empty_lines_behind_an_answer_hold_no_connection_open(site, monkeypatch):
    monkeypatch.setattr("waypost.gateway.server.connection.Connection.request_seconds", 0.5)
    reader, writer = await connection(site)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\r\n")
    assert b"HTTP/1.1" not in await all_said(reader)
    writer.close()


async def test_who_ends_its_own_side_hears_the_answers_it_is_owed(site, shop):
    reader, writer = await connection(site)
    writer.write(asking("A-1", shop.headers["authorization"]) + asking("A-2", shop.headers["authorization"]))
    writer.write_eof()
    assert (await all_said(reader)).count(b"HTTP/1.1 202 Accepted") == 2
    writer.close()
    assert len(await rows(site.ledger)) == 2


@pytest.mark.parametrize(
    "begin", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"]
)
async def test_who_ends_its_side_with_nothing_owed_is_left_at_once(site, begin):
    reader, writer = await connection(site)
    writer.write(begin)
    writer.write_eof()
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()


async def test_a_wish_for_another_protocol_is_not_granted(site, shop):
    wish = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    for sent, status in (
        (asking("A-1", shop.headers["authorization"], *wish), b"400"),
        ("\r\n".join(["GET /healthz HTTP/1.1", "Host: a", *wish, "", ""]).encode(), b"200"),
    ):
        reader, writer = await connection(site)
        writer.write(sent)
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n")).split()[1] == status
        writer.close()
    assert await rows(site.ledger) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Idempotency-Key: a", "Idempotency-Key: b"], b"422"),
        (["Content-Encoding: gzip"], b"415"),
        (["Content-Encoding: identity"], b"202"),
    ],
)
async def test_headers_that_may_mean_two_things_are_refused(site, shop, headers, status):
    reader, writer = await connection(site)
    writer.write(asking("A-1", shop.headers["authorization"], *headers))
    assert (await reader.readuntil(b"\r\n")).split()[1] == status
    writer.close()
