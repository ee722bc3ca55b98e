"""Runs the gateway, HTTP and SMTP over one ledger, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from waypost.config.mail import senders_of_brands
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.delivery.added_brands import all_brands
from waypost.deployments.prefect_api import prefect_answers
from waypost.deployments.registry import BrokenType, registered
from waypost.gateway.auth.access_tokens import accepted_tokens
from waypost.gateway.context import GatewayContext
from waypost.gateway.listen import ListenAddress, check_keys
from waypost.gateway.pages.app import pages
from waypost.gateway.pages.connection import PublicConnection
from waypost.gateway.pages.context import PagesContext
from waypost.gateway.server import listener
from waypost.gateway.server.app import gateway
from waypost.gateway.smtp.server import SubmissionAddress as MailListens
from waypost.gateway.smtp.server import submissions
from waypost.gateway.smtp.submission import TYPE, passes_on
from waypost.ledger import Ledger, connect_checked
from waypost.ledger.records import installation
from waypost.mail.allowed_senders import Senders
from waypost.model.brand import Brand
from waypost.recipients.choices import Catalogue
from waypost.recipients.links import Links
from waypost.system.outage import is_outage
from waypost.system.process import freeze_gc

logger = logging.getLogger("waypost.gateway")

V = TypeVar("V")

BRANDS_SECONDS = 15.0  # as often as workers look at their blocks
PATIENCE = timedelta(seconds=5)  # a client has its response by then, well before it gives up


async def serve(
    settings: Settings,
    where: ListenAddress,
    stop: asyncio.Event,
    ready: Callable[[ListenAddress, int, Sequence[str], ListenAddress | None], None],
    mail: Sequence[MailListens] = (),
    public: ListenAddress | None = None,
) -> None:
    """Accept notifications until `stop`. `ready` is called with the address, the number of working API keys,
    the URLs of SMTP submission and the address of the pages. mail: the addresses for SMTP
    submission. public: where the pages of recipients are served; None for no pages.

    Raises waypost.gateway.listen.UnprotectedGateway and PortTaken; BrokenType if no type can be requested."""
    if all(one.type.digest for one in registered().values()):
        raise BrokenType("no type can be requested: add one to flows/, or correct WAYPOST_SHIPPED_TYPES")
    if mail and not passes_on(registered()):
        logger.warning(
            "SMTP submission accepts only mails that name a type in %s: the type message is switched off or "
            "replaced by a type that does not send whole mails",
            TYPE,
        )
    tokens, https = accepted_tokens(settings), where.certificate is not None
    async with connect_checked(settings, PATIENCE) as ledger:
        # SMTP takes no tokens.
        key = secret_key(settings)
        await installation.check_key(ledger, key)
        keys = await check_keys(ledger, where.host, has_tokens=tokens is not None and not mail)
        brands = dict(await all_brands(settings, ledger))
        senders = senders_of_brands(settings, brands)
        context = GatewayContext.over(
            ledger,
            registered(),
            key,
            prefect_answers,
            senders,
            tokens,
            private_webhooks=settings.webhooks_allow_private,
            categories=settings.categories,
        )
        freeze_gc()
        async with (
            brands_kept_up_to_date(settings, ledger, senders, brands),
            pages_served(_pages_over(ledger, settings, key, brands), public, stop) as shown,
            submissions(context, settings, where, mail, stop) as opened,
        ):
            urls = [one.url for one in opened]
            await listener.listen(
                gateway(context, https), where, stop, lambda found: ready(found, keys, urls, shown)
            )


def _pages_over(ledger: Ledger, settings: Settings, key: bytes, brands: Mapping[str, Brand]) -> PagesContext:
    catalogue = Catalogue([one.type for one in registered().values()], settings.categories)
    return PagesContext(ledger, catalogue, Links(key), brands, settings.default_locale)


@asynccontextmanager
async def pages_served(
    context: PagesContext, where: ListenAddress | None, stop: asyncio.Event
) -> AsyncGenerator[ListenAddress | None]:
    """Serve the pages of recipients until `stop` is set, which the end of the block waits for; yields where.
    A failure of the server sets `stop`. Raises PortTaken."""
    if where is None:
        yield None
        return
    found: asyncio.Future[ListenAddress] = asyncio.get_running_loop().create_future()
    app = pages(context, https=where.certificate is not None)
    serving = asyncio.create_task(listener.listen(app, where, stop, found.set_result, PublicConnection))
    serving.add_done_callback(lambda _: stop.set())
    try:
        await asyncio.wait((serving, found), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield found.result() if found.done() else None
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def brands_kept_up_to_date(
    settings: Settings, ledger: Ledger, senders: dict[str, Senders], brands: dict[str, Brand] | None = None
) -> AsyncGenerator[None]:
    """Keep `senders`, and `brands` if given, as the brands are that workers found in Prefect, until the end
    of the block."""

    async def look() -> None:
        while True:
            await asyncio.sleep(BRANDS_SECONDS)
            try:
                there = await all_brands(settings, ledger)
                found = senders_of_brands(settings, there)
            except Exception as error:
                if not is_outage(error):
                    raise
                continue  # those known before stay in use
            _become(senders, found)
            if brands is not None:
                _become(brands, there)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


def _become(kept: dict[str, V], found: Mapping[str, V]) -> None:
    """Give `kept`, which others hold, the entries of `found`."""
    for gone in kept.keys() - found.keys():
        del kept[gone]
    kept.update(found)
