"""Starts what `waypost up` needs on one machine: the ledger, the Prefect server, the development mailbox."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from waypost.config import instance
from waypost.config.environment import by_proxy, without_login
from waypost.config.instance import Mailbox, Place
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings, prepare_home
from waypost.ledger import connect
from waypost.ledger.records import installation
from waypost.system import child_process


class PortTaken(RuntimeError):
    """Another program listens on our port. Says on which, and which option changes ours."""


class ServerMissing(RuntimeError):
    """The Prefect server in the settings does not answer."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports to listen on; 0 picks a free one. submission: for SMTP submission; None for no submission."""

    prefect: int = 4200
    smtp: int = 2525
    texts: int = 8025
    gateway: int = 8080
    submission: int | None = None


@asynccontextmanager
async def servers(
    settings: Settings, ports: Ports, say: Callable[[str], None], host: str = "127.0.0.1"
) -> AsyncGenerator[tuple[Settings, Place]]:
    """Start the servers that the settings do not name, yield settings that name them, stop them afterwards.

    An existing Prefect server (PREFECT_API_URL) and the mail providers in the settings are used as they are.
    Raises PortTaken, waypost.system.child_process.ChildFailed.
    """
    home = prepare_home(settings)
    async with AsyncExitStack() as stack:
        stack.enter_context(instance.only_one(home))
        if ports.gateway:  # the gateway listens last, but a taken port is better reported at once
            _free(host, ports.gateway, "--gateway-port", "gateway")
        if ports.submission:
            _free(host, ports.submission, "--submission-port", "gateway's SMTP")
        await _open_ledger(settings)
        api = os.environ.get("PREFECT_API_URL")
        embedded = not api
        if api:
            await _answers(api)
        else:
            from deployments.processes import prefect_server

            port = _free(host, ports.prefect, "--port", "Prefect server")
            say("starting the Prefect server")
            api = await stack.enter_async_context(prefect_server.running(home, host, port))
        mailbox: Mailbox | None = None
        if not instance.names_mail(settings):
            smtp_port = _free(host, ports.smtp, "--smtp-port", "development mailbox")
            texts_port = _free(host, ports.texts, "--texts-port", "development mailbox's texts")
            say("starting the development mailbox")
            mailbox = Mailbox(
                folder=home / "mail",
                smtp_url=f"smtp://{host}:{smtp_port}?connections=8",
                texts_url=f"json://{host}:{texts_port}/text/{{phone}}",
            )
            await stack.enter_async_context(_take_mail(home, mailbox, host, smtp_port, texts_port))
        here = Place(pid=os.getpid(), api=api, embedded=embedded, mailbox=mailbox)
        yield instance.pointed_at(settings, here), here


async def _answers(api: str) -> None:
    try:
        async with httpx.AsyncClient() as client:
            (await client.get(f"{api}/health", timeout=5)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL):
        shown = without_login(api)
        raise ServerMissing(
            f"PREFECT_API_URL is set to {shown}{by_proxy(shown)}, which does not answer: start that server, "
            "or unset it and `waypost up` starts one"
        ) from None


async def _open_ledger(settings: Settings) -> None:
    """Upgrade the ledger to this version. Raises OtherKey, before anything is started with a wrong key."""
    async with connect(settings) as ledger:
        await ledger.upgrade()
        await installation.check_key(ledger, secret_key(settings))


def _take_mail(
    home: Path, mailbox: Mailbox, host: str, smtp_port: int, texts_port: int
) -> AbstractAsyncContextManager[None]:
    return child_process.running(
        "development mailbox",
        "waypost.mailbox",
        [str(mailbox.folder), host, str(smtp_port), str(texts_port)],
        os.environ,
        ready=f"http://{host}:{texts_port}/health",
        log=home / "mailbox.log",
    )


def _free(host: str, port: int, option: str, what: str) -> int:
    """`port`, or a free one for 0. Raises PortTaken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise PortTaken(
                f"{host}:{port}, where the {what} was to listen, is taken. "
                f"Stop what is there, or choose another port with {option} (0 finds a free one)."
            ) from None
        return probe.getsockname()[1]
