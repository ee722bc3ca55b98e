"""A proxy between a ledger and its PostgreSQL server, for tests of bad connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.engine import make_url


@asynccontextmanager
async def laid(make: Callable[[tuple[str, int]], Any], server: str) -> AsyncIterator[Any]:
    """The proxy that `make` creates for the host and port of `server`, a URL. Its `carry` gets each
    connection, its `url` is the URL to connect to, and it is closed at the end of the block."""
    url = make_url(server)
    made = make((url.host or "127.0.0.1", url.port or 5432))
    async with await asyncio.start_server(made.carry, "127.0.0.1") as listening:
        made.url = url.set(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])
        yield made
        await made.close()
