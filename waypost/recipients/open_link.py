"""Opens a link: reads its token, and asks the ledger whether it is revoked."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.ledger import Ledger
from waypost.ledger.records import recipients
from waypost.recipients.links import Link, Links, Page


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that works. locale: the recipient's; empty if it is unknown."""

    link: Link
    locale: str = ""


async def opened(ledger: Ledger, links: Links, page: Page, token: str) -> Opened | None:
    """The link of a token; None for a token that is forged, damaged or of another page, and for a link that
    is revoked: its recipient has newer links, or was forgotten."""
    link = links.read(page, token)
    if link is None:
        return None
    known = await recipients.linked(ledger, link.key, link.client)
    if known is None or known.generation != link.generation:
        return None
    return Opened(link, known.locale)
