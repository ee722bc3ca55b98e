"""The head of a request: HEAD wherever there is GET, one Host, and no expectation that is not met."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

pytestmark = pytest.mark.anyio

ID = "019b76da-a800-7000-8000-000000000000"
ORDER = "order-confirmation"


async def said(site, *head: str) -> bytes:
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode())
    try:
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_head_is_get_without_a_body_on_every_route(site, shop):
    document = (await shop.get("/v1/openapi.json")).json()
    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    assert len(paths) > 8
    for path in [*paths, "/v1/openapi.json"]:
        path = path.format(id=ID, code="invalid")
        got, head = await shop.get(path), await shop.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        same = {name for name in got.headers if name not in ("date", "content-length")}
        assert {name: head.headers[name] for name in same} == {name: got.headers[name] for name in same}
        assert "content-length" in head.headers
    refused = await shop.delete("/healthz")
    assert refused.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: a"], 200),
        (["Host:"], 200),
        (["Host: [::1]:8080"], 200),
        (["host: notify.example:8080"], 200),
        ([], 400),
        (["Host: a", "Host: a"], 400),
        (["Host: a", "host: b"], 400),
        (["Host: a b"], 400),
        (["Host: a/b"], 400),
        (["Host: user@a"], 400),
        (["Host: a", "Expect: 100-Continue"], 200),
        (["Host: a", "Expect: nonsense"], 417),
        (["Host: a", "Expect: 100-continue, more"], 417),
    ],
)
async def test_a_head_that_means_two_things_or_nothing_is_refused(site, headers, status):
    head, _, body = (await said(site, "GET /healthz HTTP/1.1", *headers)).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert status == 200 or json.loads(body)["status"] == status


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_http_1_0_needs_no_host(site):
    assert (await said(site, "GET /healthz HTTP/1.0")).split()[1] == b"200"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_is_refused_by_its_head_is_answered_in_its_turn(site):
    good, bad = "GET /healthz HTTP/1.1\r\nHost: a\r\n", "GET /healthz HTTP/1.1\r\n"
    heard = await said(site, good + "\r\n" + bad + "\r\n" + good.removesuffix("\r\n"))
    assert re.findall(rb"HTTP/1.1 (\d{3}) ", heard) == [b"200", b"400", b"200"]
