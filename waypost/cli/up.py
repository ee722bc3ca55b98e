"""`waypost up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from waypost.cli.console import err, out
from waypost.cli.starting import check_schedules, warn_of_broken_types
from waypost.place import Place
from waypost.settings import Settings


def _port(of: str) -> Any:
    return typer.Option(min=0, max=65535, help=f"{of}; 0 finds one.")


def up(
    port: Annotated[int, _port("Of the Prefect server and its UI")] = 4200,
    smtp_port: Annotated[int, _port("Of the development mailbox")] = 2525,
    texts_port: Annotated[int, _port("Of the mailbox's short messages")] = 8025,
) -> None:
    """Start a Prefect server, a development mailbox and a worker, and run until Ctrl-C.

    What the settings name already (PREFECT_API_URL; WAYPOST_SMTP_URL, or a mail provider of
    WAYPOST_PROVIDERS) is used instead of started.
    """
    from waypost.process import run_until_signalled

    settings = Settings()
    run_until_signalled(lambda stop: _up(settings, port, smtp_port, texts_port, stop))
    out.print("stopped; everything is kept, `waypost up` goes on from here")


async def _up(settings: Settings, port: int, smtp_port: int, texts_port: int, stop: asyncio.Event) -> None:
    from deployments.up import Ports, servers
    from waypost.place import published

    ports = Ports(prefect=port, smtp=smtp_port, texts=texts_port)
    async with servers(settings, ports, lambda line: err.print(f"[dim]{line} ...")) as (full, here):
        # Imported here: Prefect reads where its server is when it is imported.
        from deployments.api import prefect_client
        from deployments.registry import deploy
        from deployments.serve import serve

        check_schedules()
        warn_of_broken_types()
        err.print("[dim]deploying the flows ...")
        async with prefect_client() as client:
            deployed = await deploy(client, full.work_pool)
        with ExitStack() as stack:

            def ready() -> None:
                stack.enter_context(published(full.home, here))
                _tell(full, here, sorted(deployed))

            await serve(full, stop, ready)
            err.print("[dim]stopping ...")


def _tell(settings: Settings, here: Place, types: list[str]) -> None:
    ledger = settings.home / "ledger.db" if settings.database_url is None else "WAYPOST_DATABASE_URL"
    lines = [
        "[bold green]Waypost is up.[/]",
        f"  Prefect UI   {here.ui}" + ("" if here.embedded else "  (yours)"),
        f"  API          {here.api}",
        f"  types        {', '.join(types)}",
        f"  ledger       {ledger}",
    ]
    if here.mailbox:
        lines.append(f"  mails        {here.mailbox.folder}  (development mailbox, {here.mailbox.smtp_url})")
    lines.append("  Ctrl-C stops it; everything is kept.")
    out.print("\n".join(lines), soft_wrap=True)
