"""A gateway that fails while it stops says so: its command then ends with an error."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from waypost.gateway.listen import ListenAddress
from waypost.gateway.server.listener import Unfinished, listen

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def failing(_app):
    yield
    raise RuntimeError


async def test_whoever_runs_it_hears_of_it():
    stop = asyncio.Event()
    with pytest.raises(Unfinished, match="the error is logged above"):
        await listen(FastAPI(lifespan=failing), ListenAddress(port=0), stop, lambda _: stop.set())


async def test_a_clean_stop_is_no_error():
    stop = asyncio.Event()
    await listen(FastAPI(), ListenAddress(port=0), stop, lambda _: stop.set())
