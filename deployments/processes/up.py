"""Starts what `waypost up` needs on one machine: the ledger, the Prefect server, the development mailbox."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from waypost.config import instance
from waypost.config.environment import by_proxy, without_login
from waypost.config.instance import Instance, Mailbox
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings, prepare_home
from waypost.ledger import connect
from waypost.ledger.records import installation
from waypost.system import child_process
from waypost.system.child_process import Answers


class PortTaken(RuntimeError):
    """Other programs listen on our ports, or two of our ports are the same. Names each, and its option."""


class ServerMissing(RuntimeError):
    """The Prefect server in the settings does not answer."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports to listen on; 0 picks a free one. submission: for SMTP submission; None for no submission.
    public: for the pages of recipients; None for no pages."""

    prefect: int = 4200
    smtp: int = 2525
    texts: int = 8025
    gateway: int = 8080
    submission: int | None = None
    public: int | None = None


@asynccontextmanager
async def servers(
    settings: Settings, ports: Ports, say: Callable[[str], None], host: str = "127.0.0.1"
) -> AsyncGenerator[tuple[Settings, Instance, Answers]]:
    """Start the servers that the settings do not name, yield settings that name them and a function that
    waits until they answer, and stop them afterwards. They start while the block does other work.

    An existing Prefect server (PREFECT_API_URL) and the mail providers in the settings are used as they are.
    Raises PortTaken; the function raises waypost.system.child_process.ChildFailed.
    """
    home = prepare_home(settings)
    async with AsyncExitStack() as stack:
        started: list[Answers] = []
        stack.enter_context(instance.only_one(home))
        has_mailbox = not instance.names_mail(settings)
        _check_free(host, _wanted(ports, not os.environ.get("PREFECT_API_URL"), has_mailbox))
        await _open_ledger(settings)
        api = os.environ.get("PREFECT_API_URL")
        embedded = not api
        port, smtp_port, texts_port = _free(host, [ports.prefect, ports.smtp, ports.texts])
        if api:
            await _answers(api)
        else:
            from waypost.deployments.processes import prefect_server

            say("starting the Prefect server")
            api, answers = await stack.enter_async_context(prefect_server.starting(home, host, port))
            started.append(answers)
        mailbox: Mailbox | None = None
        if has_mailbox:
            say("starting the development mailbox")
            mailbox = Mailbox(
                folder=home / "mail",
                smtp_url=f"smtp://{host}:{smtp_port}?connections=8",
                texts_url=f"json://{host}:{texts_port}/text/{{phone}}",
            )
            taking = _take_mail(home, mailbox, host, smtp_port, texts_port)
            started.append(await stack.enter_async_context(taking))
        here = Instance(pid=os.getpid(), api=api, embedded=embedded, mailbox=mailbox)

        async def all_answer() -> None:
            for answers in started:
                await answers()

        yield instance.pointed_at(settings, here), here, all_answer


async def deploy_patiently(work_pool: str, stop: asyncio.Event) -> dict[str, UUID]:
    """Deploy the flows; wait for a Prefect server that does not answer, as after a kill it is started again.
    Returns the deployments' ids; none if `stop` is set before Prefect answers. Raises WrongApi."""
    # Imported here: Prefect reads where its server is when it is imported.
    from waypost.deployments.deploy import deploy
    from waypost.deployments.dispatcher.outage import PrefectOutage
    from waypost.deployments.prefect_api import api_url, check, prefect_client

    async with prefect_client() as client:

        async def ask() -> dict[str, UUID]:
            await check(client)
            return await deploy(client, work_pool)

        outage = PrefectOutage(stop=stop, api=api_url())
        passes = (httpx.TransportError, httpx.HTTPStatusError, TimeoutError)
        return await outage.until_answered(ask, stop, passes) or {}


async def _answers(api: str) -> None:
    try:
        async with httpx.AsyncClient() as client:
            (await client.get(f"{api}/health", timeout=5)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL):
        shown = without_login(api)
        raise ServerMissing(
            f"PREFECT_API_URL is {shown}{by_proxy(shown)}, which does not respond. Start "
            "that server, or unset PREFECT_API_URL: then `waypost up` starts a server"
        ) from None


async def _open_ledger(settings: Settings) -> None:
    """Upgrade the ledger to this version. Raises OtherKey, before anything is started with a wrong key."""
    async with connect(settings) as ledger:
        await ledger.upgrade()
        await installation.check_key(ledger, secret_key(settings))


def _take_mail(
    home: Path, mailbox: Mailbox, host: str, smtp_port: int, texts_port: int
) -> AbstractAsyncContextManager[Answers]:
    program = child_process.Program(
        "development mailbox",
        "waypost.mailbox",
        [str(mailbox.folder), host, str(smtp_port), str(texts_port)],
        os.environ,
        ready=f"http://{host}:{texts_port}/health",
        log=home / "mailbox.log",
    )
    return child_process.starting(program)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A port that a server is to listen on, and the option that names another."""

    port: int
    option: str
    server: str


def _wanted(ports: Ports, has_prefect: bool, has_mailbox: bool) -> list[_Wanted]:
    """The ports that this process and its servers need; 0, which picks a free one, is left out."""
    prefect = [_Wanted(ports.prefect, "--port", "Prefect server")] if has_prefect else []
    mailbox = [
        _Wanted(ports.smtp, "--smtp-port", "development mailbox"),
        _Wanted(ports.texts, "--texts-port", "mailbox for short messages"),
    ]
    gateway = [
        _Wanted(ports.gateway, "--gateway-port", "gateway"),
        _Wanted(ports.submission or 0, "--submission-port", "gateway for SMTP"),
        _Wanted(ports.public or 0, "--public-port", "pages of recipients"),
    ]
    return [one for one in (*prefect, *(mailbox if has_mailbox else ()), *gateway) if one.port]


def _check_free(host: str, wanted: Sequence[_Wanted]) -> None:
    """Raises PortTaken, which names every port that is taken."""
    twice = {port for port, count in Counter(one.port for one in wanted).items() if count > 1}
    taken = [one for one in wanted if one.port in twice or not _is_free(host, one.port)]
    if taken:
        each = ", ".join(f"{host}:{one.port} (the {one.server}, {one.option})" for one in taken)
        verb = "is" if len(taken) == 1 else "are"
        raise PortTaken(
            f"{each} {verb} in use: stop the other process, or choose another port with the option (0 picks "
            "a free port)"
        )


def _is_free(host: str, port: int) -> bool:
    try:
        with _bound(host, port):
            return True
    except OSError:
        return False


def _free(host: str, ports: Sequence[int]) -> list[int]:
    """The ports, and in place of each 0 a free port of its own."""
    with ExitStack() as stack:
        return [port or stack.enter_context(_bound(host, 0)).getsockname()[1] for port in ports]


def _bound(host: str, port: int) -> socket.socket:
    probe = socket.socket()
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except OSError:
        probe.close()
        raise
    return probe
