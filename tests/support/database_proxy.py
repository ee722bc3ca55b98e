"""What lies between a ledger and its PostgreSQL server, for tests of a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.engine import make_url


@asynccontextmanager
async def laid(make: Callable[[tuple[str, int]], Any], server: str) -> AsyncIterator[Any]:
    """The line that `make` makes to the host and port of `server`, a URL: its `carry` is given whoever
    connects, its `url` is what to connect to, and it is closed with the block."""
    url = make_url(server)
    made = make((url.host or "127.0.0.1", url.port or 5432))
    async with await asyncio.start_server(made.carry, "127.0.0.1") as listening:
        made.url = url.set(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])
        yield made
        await made.close()
