"""`waypost up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli.output import err, out
from waypost.cli.startup_checks import check_schedules, run_over_a_ledger, warn
from waypost.config.instance import Place
from waypost.config.settings import Settings

if TYPE_CHECKING:
    from deployments.processes.up import Ports
    from waypost.gateway.listen import ListenAddress


def _port(of: str) -> Any:
    return typer.Option(min=0, max=65535, help=f"{of}; 0 finds one.")


def up(
    port: Annotated[int, _port("Of the Prefect server and its UI")] = 4200,
    smtp_port: Annotated[int, _port("Of the development mailbox")] = 2525,
    texts_port: Annotated[int, _port("Of the mailbox's short messages")] = 8025,
    gateway_port: Annotated[int, _port("Of the gateway")] = 8080,
    submission_port: Annotated[
        int | None, _port("Where the gateway takes mails by SMTP too, without TLS; left out, nowhere")
    ] = None,
) -> None:
    """Start a Prefect server, a development mailbox, a worker and the gateway, and run until Ctrl-C.

    Servers that the settings name (PREFECT_API_URL; WAYPOST_SMTP_URL, or a mail provider of
    WAYPOST_PROVIDERS) are used, and not started.
    """
    from deployments.processes.up import Ports
    from waypost.delivery.channel_factory import providers

    settings = Settings()
    providers(settings)  # raises for an invalid provider before anything is started
    ports = Ports(port, smtp_port, texts_port, gateway_port, submission_port)
    run_over_a_ledger(lambda stop: _up(settings, ports, stop))
    out.print("stopped; everything is kept, `waypost up` goes on from here")


async def _up(settings: Settings, ports: Ports, stop: asyncio.Event) -> None:
    from deployments.processes.up import servers
    from waypost.config.instance import published

    async with servers(settings, ports, lambda line: err.print(f"[dim]{line} ...")) as (full, here):
        # Imported here: Prefect reads its server's URL when it is imported.
        from deployments.deploy import deploy
        from deployments.prefect_api import prefect_client
        from deployments.processes.worker import serve

        check_schedules()
        warn(full)
        err.print("[dim]deploying the flows ...")
        async with prefect_client() as client:
            deployed = await deploy(client, full.work_pool)
        with ExitStack() as stack:
            async with _accepting(full, ports, stop) as (door, keys):

                def ready() -> None:
                    found = here.model_copy(update={"gateway": door.url})
                    stack.enter_context(published(full.home, found))
                    _tell(full, found, sorted(deployed), keys)

                await serve(full, stop, ready)
                err.print("[dim]stopping ...")


@asynccontextmanager
async def _accepting(
    settings: Settings, ports: Ports, stop: asyncio.Event
) -> AsyncGenerator[tuple[ListenAddress, int]]:
    """Run the gateway for the length of the block. Yields where it listens, and how many API keys work.

    It runs in this process: its modules are loaded for the worker anyway, so it takes a fraction of a second
    and ten megabytes; its own process would take six seconds and 150 MB. It always ends with this process.
    """
    from deployments.processes.gateway import serve
    from waypost.gateway.listen import ListenAddress
    from waypost.gateway.smtp.server import SubmissionAddress as MailListens

    told: asyncio.Future[tuple[ListenAddress, int]] = asyncio.get_running_loop().create_future()
    where = ListenAddress(port=ports.gateway)
    mail = [] if ports.submission is None else [MailListens(where.host, ports.submission)]

    def ready(found: ListenAddress, keys: int, mail: Sequence[str]) -> None:
        for url in mail:
            out.print(f"mail is submitted at {url}", soft_wrap=True)
        told.set_result((found, keys))

    serving = asyncio.create_task(serve(settings, where, stop, ready, mail))
    serving.add_done_callback(lambda _: stop.set())  # everything stops when the gateway ends
    try:
        await asyncio.wait((serving, told), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield told.result() if told.done() else (where, 0)
    finally:
        stop.set()
        await serving


def _tell(settings: Settings, here: Place, types: list[str], keys: int) -> None:
    ledger = settings.home / "ledger.db" if settings.database_url is None else "WAYPOST_DATABASE_URL"
    lines = [
        "[bold green]Waypost is up.[/]",
        f"  Prefect UI   {here.ui}" + ("" if here.embedded else "  (yours)"),
        f"  API          {here.api}",
        f"  gateway      {here.gateway}"
        + ("" if keys else "  (no API key yet: `waypost keys create my-app` makes one)"),
        f"  types        {', '.join(types)}",
        f"  ledger       {ledger}",
    ]
    if here.mailbox:
        lines.append(f"  mails        {here.mailbox.folder}  (development mailbox, {here.mailbox.smtp_url})")
    lines.append("  Ctrl-C stops it; everything is kept.")
    out.print("\n".join(lines), soft_wrap=True)
