"""The three ways to run the same flows, which the benchmarks compare."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.harness import databases
from benchmarks.harness.prefect_api import PrefectApi
from benchmarks.harness.processes import answering, environment, free_port, python, run_to_end, running, until
from waypost.config import instance
from waypost.config.settings import Settings
from waypost.deployments.processes import prefect_server as embedded_server
from waypost.ledger import Ledger, ledger_of

RESIDENT = "order-confirmation/order-confirmation"
STOCK = "order-confirmation/stock"


@dataclass(frozen=True, slots=True)
class Running:
    """A Prefect API, and the process that runs `deployment`; the log of that process shows retried
    responses. again: starts the same process once more, for the length of a block."""

    api: str
    deployment: str
    home: Path
    log: Path
    process: subprocess.Popen[bytes]
    again: Callable[[], AbstractContextManager[subprocess.Popen[bytes]]]
    ledger_url: str = ""

    def ledger(self) -> Ledger:
        """Its ledger, with the keys of its processes."""
        named = self.ledger_url if self.ledger_url.startswith("postgres") else None
        return ledger_of(Settings.model_validate({"home": self.home, "database_url": named}))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def last_words(self) -> str:
        """The end of its log, for error messages."""
        return self.log.read_text()[-2000:]


@asynccontextmanager
async def embedded(smtp_url: str, **settings: str) -> AsyncGenerator[Running]:
    """`waypost up`, as a user starts it: SQLite for ledger and Prefect, resident worker."""
    with new_home() as home, ExitStack() as stack:
        log = home / "up.log"
        command = python("waypost", "up", "--port=0", "--smtp-port=0", "--texts-port=0", "--gateway-port=0")
        env = environment(home, WAYPOST_SMTP_URL=smtp_url, **settings)
        start = partial(running, command, env, log)
        process = stack.enter_context(start())

        async def published() -> bool:
            return instance.find(home) is not None

        await until(published, process, "`waypost up`", log)
        here = instance.find(home)
        assert here is not None
        yield Running(here.api, RESIDENT, home, log, process, start, f"sqlite:///{home / 'ledger.db'}")


@asynccontextmanager
async def on_postgres(smtp_url: str) -> AsyncGenerator[Running]:
    """`prefect server start` and `waypost worker`, each on a PostgreSQL database of its own."""
    async with databases.fresh("prefect", "ledger") as (prefect_url, ledger_url):
        with new_home() as home, ExitStack() as stack:
            host, port = "127.0.0.1", free_port()
            api = f"http://{host}:{port}/api"
            env = environment(
                home,
                PREFECT_API_URL=api,
                PREFECT_API_DATABASE_CONNECTION_URL=prefect_url.replace("://", "+asyncpg://", 1),
                WAYPOST_DATABASE_URL=ledger_url,
                WAYPOST_SMTP_URL=smtp_url,
            )
            log = home / "prefect-server.log"
            command = python("prefect", "server", "start", "--host", host, "--port", str(port))
            process = stack.enter_context(running(command, env, log))
            async with answering(f"{api}/health") as answers:
                await until(answers, process, "the Prefect server on PostgreSQL", log)
            await run_to_end(python("waypost", "db", "upgrade"), env)
            await run_to_end(python("waypost", "deploy"), env)
            log = home / "worker.log"
            start = partial(running, python("waypost", "worker"), env, log)
            worker = stack.enter_context(start())
            yield Running(api, RESIDENT, home, log, worker, start, ledger_url)


# A whole Waypost installation, by the database of its ledger.
BY_DATABASE: dict[str, Callable[[str], AbstractAsyncContextManager[Running]]] = {
    "SQLite": embedded,
    "PostgreSQL": on_postgres,
}


@asynccontextmanager
async def stock(smtp_url: str) -> AsyncGenerator[Running]:
    """The same flow under Prefect's own `flow.serve()`, on the same tuned server as `embedded`: only the
    process that runs the flow differs, and the stock side has a better server than Prefect's own."""
    with new_home() as home:
        await _upgrade(home)  # a ledger that is missing beside Prefect's database is refused
        async with server_alone(home) as api:
            env = environment(home, PREFECT_API_URL=api, WAYPOST_SMTP_URL=smtp_url)
            log = home / "stock.log"
            start = partial(running, python("benchmarks.harness.stock_prefect"), env, log)
            with start() as process:
                async with PrefectApi(api) as prefect:
                    await until(lambda: prefect.knows(STOCK), process, "flow.serve()", log)
                yield Running(api, STOCK, home, log, process, start)


@asynccontextmanager
async def server_alone(home: Path) -> AsyncGenerator[str]:
    """The embedded Prefect server without a worker; yields its API's URL."""
    async with embedded_server.running(home, "127.0.0.1", free_port()) as api:
        yield api


async def _upgrade(home: Path) -> None:
    ledger = ledger_of(Settings(home=home))
    await ledger.upgrade()
    await ledger.close()


@contextmanager
def new_home() -> Generator[Path]:
    """A folder for one measurement's data."""
    with tempfile.TemporaryDirectory(prefix="waypost-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
