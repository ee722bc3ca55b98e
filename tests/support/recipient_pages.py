"""The pages of recipients in a browser: types whose categories they choose, and the pages served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import sqlalchemy as sa

from support.browser import Page
from support.ledger import NOTE, change
from waypost import Category
from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.deployments.processes.gateway import pages_served
from waypost.gateway.listen import ListenAddress
from waypost.gateway.pages.context import PagesContext
from waypost.ledger import Ledger
from waypost.ledger.database.tables import recipients
from waypost.recipients.choices import Catalogue
from waypost.recipients.links import Links

ROUTES = {
    Category.MARKETING: ("email", "sms"),
    Category.ALERT: ("email", "sms", "chat", "push"),
    Category.SECURITY: ("email",),
}
TYPES = [replace(NOTE, name=category, category=category, route=route) for category, route in ROUTES.items()]
LINKS = Links(b"a key of sixteen or more")


@asynccontextmanager
async def served(ledger: Ledger, settings: Settings) -> AsyncGenerator[str]:
    """The URL of the pages of the recipients in `ledger`, whose links are of the first generation."""
    await change(ledger, recipients, sa.true(), link_generation=0)
    context = PagesContext(ledger, Catalogue(TYPES, {}), LINKS, brands(settings))
    async with pages_served(context, ListenAddress(port=0), asyncio.Event()) as found:
        yield found.url


def prefer(page: Page, scheme: str) -> None:
    """Have the browser ask for light or dark pages."""
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
