"""Which answers at PREFECT_API_URL mean that waiting will not help."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from waypost.deployments.prefect_api import WrongApi, check

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def a_server(status, body):
    """Answers everything so; yields the address of what would be its API."""

    async def answer(reader, writer):
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await reader.readuntil(b"\r\n\r\n")
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"


async def checked(status, body):
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        async with a_server(status, body) as api, PrefectClient(api) as client:
            await check(client)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("401 Unauthorized", "{}", "returned HTTP 401 Unauthorized"),
        ("403 Forbidden", "{}", "returned HTTP 403 Forbidden"),
        ("404 Not Found", "{}", "returned HTTP 404 Not Found"),
        ("405 Method Not Allowed", "{}", "returned HTTP 405 Method Not Allowed"),
        ("200 OK", "<html>a page</html>", "does not respond like a Prefect API"),
        ("200 OK", '{"a": "thing"}', "does not respond like a Prefect API"),
        ("200 OK", "[]", "does not respond like a Prefect API"),
    ],
)
async def test_what_is_no_api_of_ours_is_told(status, body, said):
    with pytest.raises(WrongApi, match=said):
        await checked(status, body)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many"])
async def test_what_is_not_well_may_be_waited_for(status):
    with pytest.raises(httpx.HTTPStatusError):
        await checked(status, "{}")


async def test_what_answers_nothing_may_be_waited_for():
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        async with PrefectClient("http://127.0.0.1:9/api") as client:
            with pytest.raises(httpx.ConnectError):
                await check(client)


@pytest.mark.parametrize("address", ["nonsense", "ftp://127.0.0.1/api"])
async def test_what_is_no_address_is_told(address):
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        async with PrefectClient(address) as client:
            with pytest.raises(WrongApi, match="is not the address of a server: set PREFECT_API_URL"):
                await check(client)


async def test_the_real_one_is_well(client):
    await check(client)
