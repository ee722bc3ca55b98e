"""A gateway that listens on a free port, over an empty ledger on each database, and clients with keys."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope
from support.measured_gateway import Measured, measured
from support.smtp_submission import Post, posting

from waypost.config.mail import senders_of_brands
from waypost.config.settings import Settings
from waypost.deployments.prefect_api import prefect_answers
from waypost.deployments.registry import registered
from waypost.gateway.auth import key_format as keys
from waypost.gateway.context import GatewayContext
from waypost.gateway.listen import ListenAddress
from waypost.gateway.server.app import gateway as application
from waypost.gateway.server.listener import listen
from waypost.ledger import Ledger
from waypost.ledger.records import api_keys
from waypost.ledger.records.api_keys import ApiKey
from waypost.system.clock import now

HERE = Path(__file__).parent
SECRET_KEY = b"a key of sixteen or more"
TLS = ssl.create_default_context()  # made once: each takes 20 ms, and no gateway of these tests speaks TLS


# Of these files, no test asks the ledger what its own tests do not ask on both databases.
ON_SQLITE_ALONE = {
    f"test_{name}.py"
    for name in (
        "brands",
        "client",
        "connection",
        "keys",
        "pages",
        "restricted_keys",
        "submission",
        "tls",
        "tokens",
    )
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, the tests of the gateway are long; some files are tested on SQLite alone."""
    again = [item for item in items if _on_postgres(item)]
    for item in again:
        item.add_marker("long")
    left_out = {item for item in again if item.path.name in ON_SQLITE_ALONE}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _on_postgres(item: pytest.Item) -> bool:
    values = getattr(item, "callspec", None)
    return bool(values and values.params.get("database") == "postgresql" and HERE in item.path.parents)


class Site:
    """A gateway that runs, seen from outside."""

    secret_key = SECRET_KEY

    def __init__(self, ledger: Ledger, url: str, door: GatewayContext) -> None:
        self.ledger = ledger
        self.url = url
        self.room = door.memory
        self._clients: list[httpx.AsyncClient] = []

    async def key(self, client: str = "shop", *scopes: str, **more: object) -> str:
        """The text of a new key."""
        minted = keys.mint()
        made = ApiKey(
            id=minted.id,
            client=client,
            scopes=list(scopes or ("send", "read", "manage")),
            rate=more.get("rate"),
            created_at=now(),
            expires_at=more.get("expires_at"),
            revoked_at=None,
            secret_hash=minted.secret_hash,
            brand=more.get("brand"),
            only_to=more.get("only_to"),
        )
        await api_keys.add(self.ledger, made)
        return minted.text

    async def client(self, client: str = "shop", *scopes: str, **more: object) -> httpx.AsyncClient:
        """An HTTP client with a key of `client`."""
        return self.bare(await self.key(client, *scopes, **more))

    def bare(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        made = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=TLS)
        self._clients.append(made)
        return made

    async def close(self) -> None:
        for one in self._clients:
            await one.aclose()


@asynccontextmanager
async def serving(ledger: Ledger, **options: object) -> AsyncIterator[Site]:
    """A gateway over `ledger` for the length of the block. types: the names of those it takes; unset, all.
    declared: types of a test's own in their place. secret_key: unset, SECRET_KEY."""
    secret_key = options.pop("secret_key", SECRET_KEY)
    wanted = options.pop("types", None)
    known = options.pop("declared", registered())
    declared = {name: one for name, one in known.items() if wanted is None or name in wanted}
    senders = senders_of_brands(Settings())
    door = GatewayContext.over(ledger, declared, secret_key, prefect_answers, senders, **options)
    app = application(door)
    stop, found = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(listen(app, ListenAddress(port=0), stop, found.set_result))
    await asyncio.wait((running, found), return_when=asyncio.FIRST_COMPLETED)
    site = Site(ledger, found.result().url, door)
    try:
        yield site
    finally:
        await site.close()
        stop.set()
        await running


@pytest.fixture
async def site(ledger: Ledger) -> AsyncIterator[Site]:
    async with serving(ledger) as running:
        yield running


@pytest.fixture
def site_with(ledger: Ledger) -> Callable[..., AbstractAsyncContextManager[Site]]:
    """Makes a gateway with options of the application."""
    return lambda **options: serving(ledger, **options)


@pytest.fixture
def site_over() -> Callable[[Ledger], AbstractAsyncContextManager[Site]]:
    """Makes a gateway over a ledger of the test's own."""
    return serving


@pytest.fixture
def gateway(database: str) -> Iterator[Measured]:
    """A gateway whose work is measured."""
    with measured(serving, database) as running:
        yield running


@pytest.fixture
async def shop(site: Site) -> httpx.AsyncClient:
    """A client that may do everything."""
    return await site.client()


@pytest.fixture
async def post(ledger: Ledger) -> AsyncIterator[Post]:
    """A gateway that mails are submitted to, in the clear."""
    async with posting(ledger) as running:
        yield running


@pytest.fixture
async def key(post: Post) -> str:
    return await post.key()


class Inbox:
    """A mail server's handler that keeps what it takes."""

    port = 0

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802 - the name is aiosmtpd's
        self.taken.append(envelope)
        return "250 kept"


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """A mail server that keeps what it takes."""
    handler = Inbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="inbox.localhost"), "127.0.0.1", 0
    )
    handler.port = server.sockets[0].getsockname()[1]
    yield handler
    server.close()
