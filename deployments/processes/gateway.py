"""Runs the gateway, HTTP and SMTP over one ledger, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from waypost.config.mail import senders_of_brands
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.delivery.added_brands import all_brands
from waypost.deployments.prefect_api import prefect_answers
from waypost.deployments.registry import BrokenType, registered
from waypost.gateway.auth.access_tokens import accepted_tokens
from waypost.gateway.context import GatewayContext
from waypost.gateway.listen import ListenAddress, check_keys
from waypost.gateway.server import listener
from waypost.gateway.server.app import gateway
from waypost.gateway.smtp.server import SubmissionAddress as MailListens
from waypost.gateway.smtp.server import submissions
from waypost.gateway.smtp.submission import TYPE, passes_on
from waypost.ledger import Ledger, connect_checked
from waypost.ledger.records import installation
from waypost.mail.allowed_senders import Senders
from waypost.system.outage import is_outage
from waypost.system.process import freeze_gc

logger = logging.getLogger("waypost.gateway")

BRANDS_SECONDS = 15.0  # as often as workers look at their blocks
PATIENCE = timedelta(seconds=5)  # a client has its response by then, well before it gives up


async def serve(
    settings: Settings,
    where: ListenAddress,
    stop: asyncio.Event,
    ready: Callable[[ListenAddress, int, Sequence[str]], None],
    mail: Sequence[MailListens] = (),
) -> None:
    """Accept notifications until `stop`. `ready` is called with the address, the number of working API keys
    and the URLs of SMTP submission. mail: the addresses for SMTP submission.

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
        senders = senders_of_brands(settings, await all_brands(settings, ledger))
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
            brands_kept_up_to_date(settings, ledger, senders),
            submissions(context, settings, where, mail, stop) as opened,
        ):
            urls = [one.url for one in opened]
            await listener.listen(
                gateway(context, https), where, stop, lambda found: ready(found, keys, urls)
            )


@asynccontextmanager
async def brands_kept_up_to_date(
    settings: Settings, ledger: Ledger, senders: dict[str, Senders]
) -> AsyncGenerator[None]:
    """Keep `senders` as the brands are that workers found in Prefect, until the end of the block."""

    async def look() -> None:
        while True:
            await asyncio.sleep(BRANDS_SECONDS)
            try:
                found = senders_of_brands(settings, await all_brands(settings, ledger))
            except Exception as error:
                if not is_outage(error):
                    raise
                continue  # those known before stay in use
            for gone in senders.keys() - found.keys():
                del senders[gone]
            senders.update(found)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
