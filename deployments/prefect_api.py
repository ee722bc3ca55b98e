"""The Prefect API that commands use: its client, its address and its check."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import PrefectException
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    get_current_settings,
    temporary_settings,
)

from waypost.config.environment import by_proxy, without_login
from waypost.tasks.client_retries import client_retries

WRONG = (401, 403, 404, 405)  # responses of a server that is not Prefect, or does not know us
# Seconds within which the API must answer any request. With two limits, the shorter would report an outage
# where the longer only sees a slow API.
ANSWERS_WITHIN = 10.0
WHERE_UP_WOULD_BE = "http://127.0.0.1:4200/api"
# A Prefect server closes a connection that is idle for 5 s, and Prefect's client keeps it for 25 s. A request
# that is on its way when the server closes fails; this 1 s leaves it 4 s to arrive.
LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=1.0)


def within_the_limit() -> AbstractContextManager[object]:
    """Each request of the Prefect clients made in the block is answered within ANSWERS_WITHIN, or fails."""
    return temporary_settings({PREFECT_API_REQUEST_TIMEOUT: ANSWERS_WITHIN})


def prefect_client() -> PrefectClient:
    """Prefect's client for the API its settings name, or else for the address of `waypost up`:
    without one it would start a temporary server, on which nothing is deployed."""
    if get_current_settings().api.url:
        return get_client(httpx_settings={"limits": LIMITS})
    return PrefectClient(WHERE_UP_WOULD_BE, httpx_settings={"limits": LIMITS})


def api_url() -> str:
    """The URL of that API without user name and password, and the proxy on the way to it."""
    shown = without_login(get_current_settings().api.url or WHERE_UP_WOULD_BE)
    return f"{shown}{by_proxy(shown)}"


async def prefect_answers() -> bool:
    """Whether the API answers that it is healthy."""
    try:
        with client_retries(0):
            async with asyncio.timeout(ANSWERS_WITHIN), prefect_client() as client:
                return await client.api_healthcheck() is None
    except (httpx.HTTPError, PrefectException, TimeoutError):
        return False


_TELLING = (httpx.HTTPStatusError, httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError, RuntimeError)


class WrongApi(RuntimeError):
    """The server is not a Prefect API that we can use. Says what it answered, and what to do."""


async def check(client: PrefectClient) -> None:
    """Raises WrongApi, or the client's errors when the API does not answer or is not healthy."""
    try:
        await client.read_work_pools(limit=1)  # needs the server's database too
        await client.raise_for_api_version_mismatch_once()
    except _TELLING as error:
        if wrong := _wrong(error):
            advice = "set PREFECT_API_URL (it ends in /api) and PREFECT_API_KEY to the values of your server"
            raise WrongApi(f"{client.api_url}{by_proxy(str(client.api_url))} {wrong}: {advice}") from None
        raise


def _wrong(error: Exception) -> str:
    """Why waiting will not help; empty where it may."""
    match error:
        case httpx.HTTPStatusError() if error.response.status_code in WRONG:
            return f"returned HTTP {error.response.status_code} {error.response.reason_phrase}"
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return "is not the address of a server"
        case ValueError():
            return "does not respond like a Prefect API"
        case RuntimeError() if error.__cause__ is None:  # else its version could not be read
            return f"has another version ({error})"
        case _:
            return ""
