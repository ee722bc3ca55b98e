"""`waypost up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli.output import err, out
from waypost.cli.startup_checks import check_schedules, run_over_a_ledger, warn
from waypost.config.instance import Instance
from waypost.config.settings import Settings

if TYPE_CHECKING:
    from waypost.deployments.processes.up import Ports
    from waypost.gateway.listen import ListenAddress


def _port(of: str, unset: str = "") -> Any:
    return typer.Option(min=0, max=65535, metavar="PORT", help=f"Port {of}; 0 picks a free one.{unset}")


def up(
    port: Annotated[int, _port("of the Prefect server and its UI")] = 4200,
    smtp_port: Annotated[int, _port("of the development mailbox")] = 2525,
    texts_port: Annotated[int, _port("of the mailbox for short messages")] = 8025,
    gateway_port: Annotated[int, _port("of the gateway")] = 8080,
    submission_port: Annotated[
        int | None, _port("of the gateway for SMTP without TLS", " Default: no SMTP.")
    ] = None,
    public_port: Annotated[
        int, _port("of the recipients' pages", " Without WAYPOST_PUBLIC_URL, there are no pages.")
    ] = 8090,
) -> None:
    """Run everything on this machine, until Ctrl-C.

    It starts a Prefect server, a development mailbox, a worker and the gateway. If PREFECT_API_URL names a
    Prefect server, `waypost up` uses that server. If WAYPOST_SMTP_URL or WAYPOST_PROVIDERS names a mail
    server, there is no development mailbox.
    """
    from waypost.delivery.channel_factory import providers
    from waypost.deployments.processes.up import Ports

    settings = Settings()
    providers(settings)  # an invalid provider is reported before anything starts
    ports = Ports(
        port,
        smtp_port,
        texts_port,
        gateway_port,
        submission_port,
        public_port if settings.public_url else None,
    )
    run_over_a_ledger(lambda stop: _up(settings, ports, stop))
    out.print("stopped; everything is kept, and `waypost up` continues with it")


async def _up(settings: Settings, ports: Ports, stop: asyncio.Event) -> None:
    from waypost.config.instance import published
    from waypost.deployments.processes.up import deploy_patiently, servers

    def say(line: str) -> None:
        err.print(f"[dim]{line} ...")

    async with servers(settings, ports, say) as (full, here, servers_answer):
        # Imported here: Prefect reads where its server is when it is imported. Meanwhile the servers start.
        from waypost.deployments.processes.worker import serve

        check_schedules()
        warn(full)
        await servers_answer()
        err.print("[dim]deploying the flows ...")
        deployed = await deploy_patiently(full.work_pool, stop)
        with ExitStack() as stack:
            async with _accepting(full, ports, stop) as (gateway, keys):

                def ready() -> None:
                    found = here.model_copy(update={"gateway": gateway.url})
                    stack.enter_context(published(full.home, found))
                    _tell(full, found, sorted(deployed), keys)

                await serve(full, stop, ready)
                err.print("[dim]stopping ...")


@asynccontextmanager
async def _accepting(
    settings: Settings, ports: Ports, stop: asyncio.Event
) -> AsyncGenerator[tuple[ListenAddress, int]]:
    """The gateway for the length of the block: where it listens, and how many API keys work.

    In this process: all that it needs is loaded for the worker, so that it takes a fraction of a second and
    ten megabytes, where one of its own takes six seconds and 150 MB. It ends with us, however we end.
    """
    from waypost.deployments.processes.gateway import serve
    from waypost.gateway.listen import ListenAddress
    from waypost.gateway.smtp.server import SubmissionAddress

    told: asyncio.Future[tuple[ListenAddress, int]] = asyncio.get_running_loop().create_future()
    where = ListenAddress(port=ports.gateway)
    mail = [] if ports.submission is None else [SubmissionAddress(where.host, ports.submission)]

    public = None if ports.public is None else ListenAddress(port=ports.public, option="--public-port")

    def ready(found: ListenAddress, keys: int, mail: Sequence[str], shown: ListenAddress | None) -> None:
        for url in mail:
            out.print(f"mail is submitted at {url}", soft_wrap=True)
        if shown is not None:
            out.print(f"pages of recipients at {shown.url} (WAYPOST_PUBLIC_URL leads there)", soft_wrap=True)
        told.set_result((found, keys))

    serving = asyncio.create_task(serve(settings, where, stop, ready, mail, public))
    serving.add_done_callback(lambda _: stop.set())  # nothing goes on without it
    try:
        await asyncio.wait((serving, told), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield told.result() if told.done() else (where, 0)
    finally:
        stop.set()
        await serving


def _tell(settings: Settings, here: Instance, types: list[str], keys: int) -> None:
    from waypost.deployments.dashboard.dashboard import artifact_key

    ledger = settings.home / "ledger.db" if settings.database_url is None else "WAYPOST_DATABASE_URL"
    lines = [
        "[bold green]Waypost is up.[/]",
        f"  Prefect UI   {here.ui}" + ("" if here.embedded else "  (from PREFECT_API_URL)"),
        f"  dashboard    {here.ui}/artifacts/key/{artifact_key(settings.work_pool)}",
        f"  API          {here.api}",
        f"  gateway      {here.gateway}"
        + ("" if keys else "  (no API key yet: create one with `waypost keys create my-app`)"),
        f"  types        {', '.join(types)}",
        f"  ledger       {ledger}",
    ]
    if here.mailbox:
        lines.append(f"  mails        {here.mailbox.page}  (files in {here.mailbox.folder})")
    lines.append("  Ctrl-C stops it; everything is kept.")
    out.print("\n".join(lines), soft_wrap=True)
