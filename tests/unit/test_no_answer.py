"""Why a service does not answer is told in words."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from waypost.net.no_answer import no_answer

pytestmark = pytest.mark.anyio


async def _error_of(url: str) -> Exception:
    async with httpx.AsyncClient(timeout=0.1) as client:
        with pytest.raises(httpx.HTTPError) as raised:
            await client.get(url)
    return raised.value


async def test_each_kind_of_silence_has_its_words():
    async def closing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as mute:
        place = f"http://127.0.0.1:{mute.getsockname()[1]}"
        silent = await _error_of(place)
    refused = await _error_of(place)
    async with await asyncio.start_server(closing, "127.0.0.1", 0) as server:
        closed = await _error_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    unknown = await _error_of("http://nobody.invalid")
    assert no_answer(silent, 5.0) == no_answer(TimeoutError(), 5) == "does not respond within 5 s"
    assert no_answer(refused, 5) == "does not respond (Connection refused)"
    assert no_answer(closed, 5) == "does not respond (it closed the connection, or does not speak HTTP)"
    assert no_answer(unknown, 5) in ("does not respond (no such host)", "does not respond within 5 s")
